    INSERT INTO positions (id, order_id, event_id, positionid, item, variation, subevent, price, tax_value, canceled,
                           secret, attendee_name, addon_to, voucher, pseudonymization_id, has_left,
                           ordered_at, seat_guid, voucher_budget_use, checked_in, words, long_words,
                           search, long_search)
    SELECT id, order_id, event_id, positionid, item, variation, subevent, price, tax_value, canceled,
           secret, attendee_name, addon_to, voucher, pseudonymization_id, has_left,
           ordered_at, seat_guid, voucher_budget_use, checked_in, words, long_words,
           search, long_search
    FROM unnest(%(positions)s::position_row[])
