    INSERT INTO payments (order_id, local_id, state, provider, amount)
    SELECT order_id, local_id, state, provider, amount
    FROM unnest(%(payments)s::payment_row[])
