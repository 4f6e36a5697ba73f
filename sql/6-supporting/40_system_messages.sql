-- System messages: one per dispatch_notification, those that were meant to be sent.
-- The largest table of all. Contexts hold personal names. message (text) and processed_at have
-- no source. Should the live target refuse the type "notification", "info" is known to pass.
--
-- target   public.system_messages
-- source   dispatch_notification
-- adopt    legacy_record_id
-- commit   batch
-- filter   never_sent  the notification was not meant to be sent

create view transform.system_messages as
select
  n.id                          as legacy_key,
  n.id::integer                 as legacy_record_id,
  recipient.id                  as recipient_id,
  -- only when the item really is an order
  clinical_order.id             as order_id,
  'notification'::text          as message_type,
  n.template_name               as message_code,
  -- the context and nothing else
  coalesce(
    case
      when btrim(n.template_context) <> ''
        then coalesce(parsed.context, jsonb_build_object('raw', n.template_context))
    end,
    '{}'::jsonb
  )                             as message_data,
  'dispatch_notification'::text as source_system,
  n.sent                        as processed,
  n.created_at                  as created_at,
  jsonb_build_object('legacy', jsonb_strip_nulls(jsonb_build_object(
    'sender',       n.sender,
    'item_type_id', n.item_type_id,
    'item_type',    content_type.model,
    'item_id',      n.item_id,
    'recipient_id', n.recipient_id,
    'read',         n.read,
    'sent',         n.sent,
    'send',         n.send,
    'invalid_json', case
      when btrim(n.template_context) <> '' and parsed.context is null then 'template_context'
    end
  )))                           as metadata,
  case when n.send is distinct from true then 'never_sent' end as filter,
  nullif(concat_ws(',',
    case
      when content_type.app_label = 'dispatch'
        and content_type.model = 'instruction'
        and n.item_id is not null
        and clinical_order.id is null
        then 'orders'
    end,
    case when n.recipient_id is not null and recipient.id is null then 'profiles' end
  ), '')                        as missing
from legacy.dispatch_notification as n
left join legacy.django_content_type as content_type on content_type.id = n.item_type_id
-- read from django_content_type: ids 6 to 15 are not "orders"
left join ids.orders as clinical_order
  on content_type.app_label = 'dispatch'
  and content_type.model = 'instruction'
  and clinical_order.legacy_id = n.item_id
left join ids.profiles as recipient on recipient.legacy_id = n.recipient_id
cross join lateral (
  select migration.try_jsonb(n.template_context) as context
  offset 0
) as parsed;
