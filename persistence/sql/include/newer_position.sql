    SET order_id = excluded.order_id, item = excluded.item, variation = excluded.variation,
        subevent = excluded.subevent, price = excluded.price, tax_value = excluded.tax_value,
        canceled = excluded.canceled, secret = excluded.secret, attendee_name = excluded.attendee_name,
        addon_to = excluded.addon_to, voucher = excluded.voucher, pseudonymization_id = excluded.pseudonymization_id,
        has_left = excluded.has_left, ordered_at = excluded.ordered_at, seat_guid = excluded.seat_guid,
        voucher_budget_use = excluded.voucher_budget_use, checked_in = excluded.checked_in, words = excluded.words,
        long_words = excluded.long_words, search = excluded.search, long_search = excluded.long_search
