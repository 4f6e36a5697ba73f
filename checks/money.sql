-- Money is equal to the cent: per amount, and per status and year, source = target + rejected.
-- Bills, purchases and card operations describe the same money and are not added up.
-- Pairs are (source expression, target expression); groups follow them.
--
-- severity  error
-- reads     source
-- edits     explain

select
  d.entity_name,
  d.column_name,
  d.in_group,
  d.source_rows,
  d.target_rows,
  d.rejected_rows,
  d.source_total,
  d.target_total,
  d.rejected_total
from (
  values
    ('payments', array[
      ['s.total_price', 't.amount'],
      ['s.paid_price', 't.paid_amount'],
      ['s.subtotal_price', 't.subtotal_amount'],
      ['s.tax_value', 't.tax_amount'],
      [
        'case when s.tax_rate > 1 then round(s.tax_rate / 100, 6) else s.tax_rate end',
        't.tax_rate'
      ],
      ['s.used_credit', 't.credit_amount'],
      ['s.additional_price', 't.additional_amount'],
      ['s.custom_price', 't.custom_amount']
    ],
    $$concat_ws(' ', case when s.canceled then 'cancelled' when s.paid or s.free then 'completed'
      else 'pending' end,
      extract(year from s.made_at at time zone 'UTC'))$$,
    $$concat_ws(' ', t.status,
      extract(year from t.processed_at at time zone 'UTC'))$$),
    ('payment_operations', array[
      ['s.price', 't.amount']
    ],
    $$concat_ws(' ', case s.type when 1 then 'payment' when 2 then 'refund' else 'unknown' end,
      extract(year from s.made_at at time zone 'UTC'))$$,
    $$concat_ws(' ', t.operation_type,
      extract(year from t.processed_at at time zone 'UTC'))$$),
    ('payment_items', array[
      ['s.total_price', 't.total_amount'],
      ['s.base_price', 't.unit_price'],
      ['s.base_price', 't.base_price'],
      ['s.global_price', 't.global_price'],
      ['s.doctor_price', 't.doctor_price'],
      ['s.discount_percent', 't.discount_percent'],
      ['s.discount_value', 't.discount_amount'],
      ['s.discount_price', 't.discount_price'],
      ['s.quantity', 't.quantity']
    ],
    $$case when s.free then 'free' else 'charged' end$$,
    $$case when t.is_free then 'free' else 'charged' end$$),
    ('purchases', array[
      ['s.price', 't.unit_price'],
      ['s.price * s.quantity', 't.total_amount'],
      ['s.quantity', 't.quantity']
    ],
    null,
    null),
    ('offers', array[
      ['s.price_both', 't.price_both'],
      ['s.price_upper', 't.price_upper'],
      ['s.price_lower', 't.price_lower']
    ],
    null,
    null),
    ('discounts', array[
      ['s.percent', 't.percentage'],
      ['s.count', 't.max_uses'],
      ['s.used', 't.current_uses']
    ],
    null,
    null),
    ('products', array[['case when s.free then 0 end', 't.base_price']], null, null),
    ('orders', array[
      ['s.price', 't.amount']
    ],
    $$concat_ws(' ', case s.status when 0 then 'no_product' when 1 then 'submitted'
      when 2 then 'approved' when 3 then 'in_production' when 4 then 'shipped'
      when 5 then 'add_plan' when 6 then 'on_hold' when 7 then 'cancelled' end,
      extract(year from s.submitted_at at time zone 'UTC'))$$,
    $$concat_ws(' ', t.status,
      extract(year from t.submitted_at at time zone 'UTC'))$$)
) as c (entity, pairs, source_group, target_group)
cross join lateral migration.money_differences(
  c.entity, c.pairs, c.source_group, c.target_group
) as d;
