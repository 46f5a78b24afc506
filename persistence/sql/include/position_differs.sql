    (positions.order_id, positions.item, positions.variation, positions.subevent, positions.price, positions.tax_value,
     positions.canceled, positions.secret, positions.attendee_name, positions.addon_to, positions.voucher,
     positions.pseudonymization_id, positions.has_left, positions.ordered_at, positions.seat_guid,
     positions.voucher_budget_use, positions.checked_in, positions.words, positions.long_words, positions.search,
     positions.long_search)
    IS DISTINCT FROM
    (excluded.order_id, excluded.item, excluded.variation, excluded.subevent, excluded.price, excluded.tax_value,
     excluded.canceled, excluded.secret, excluded.attendee_name, excluded.addon_to, excluded.voucher,
     excluded.pseudonymization_id, excluded.has_left, excluded.ordered_at, excluded.seat_guid,
     excluded.voucher_budget_use, excluded.checked_in, excluded.words, excluded.long_words, excluded.search,
     excluded.long_search)
