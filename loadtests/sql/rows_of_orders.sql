-- The newest orders, as COPY writes them.
COPY (SELECT * FROM orders ORDER BY id DESC LIMIT :most) TO STDOUT;
