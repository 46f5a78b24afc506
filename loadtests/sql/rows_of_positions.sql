-- The positions of the newest orders, as COPY writes them.
COPY (
    SELECT positions.* FROM (SELECT id FROM orders ORDER BY id DESC LIMIT :most) AS newest JOIN positions ON positions.order_id = newest.id
    ORDER BY newest.id DESC
) TO STDOUT;
