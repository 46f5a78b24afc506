-- The payments of the newest orders, as COPY writes them.
COPY (
    SELECT payments.* FROM (SELECT id FROM orders ORDER BY id DESC LIMIT :most) AS newest JOIN payments ON payments.order_id = newest.id
    ORDER BY newest.id DESC
) TO STDOUT;
