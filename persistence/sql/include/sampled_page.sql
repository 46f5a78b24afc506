    -- five that follow each other are quick to read; their places are random, for what repeats itself
    SELECT number, moment, word, place
    FROM those
    WHERE those.id = ANY (ARRAY(
              SELECT run.first + abs(hashint8(run.first)::bigint) %% (span.step - 4) + another
              FROM span, generate_series(span.first, span.last, span.step) AS run (first), generate_series(0, 4) AS another))
    ORDER BY number, moment, word, place
), guess AS MATERIALIZED (
    -- how many of the sample come before the page and before its end, give or take three standard deviations and some
    SELECT rows, (first - 12 - 3 * sqrt(first * (rows - first) / rows))::bigint AS first,
           (last + 12 + 3 * sqrt(last * (rows - last) / rows))::bigint AS last
    FROM (
        SELECT one.rows, least(one.rows, %(offset)s * 5.0 / span.step) AS first,
               least(one.rows, (%(offset)s::bigint + %(size)s::bigint) * 5.0 / span.step) AS last
        FROM span, (SELECT count(*) AS rows FROM sample) AS one
        WHERE one.rows > 0
    ) AS exact
), low AS MATERIALIZED (
    -- the sample is read in its order; without a row no bound holds
    SELECT bound.* FROM guess, LATERAL (
        SELECT * FROM sample
        OFFSET greatest(0, CASE WHEN %(down)s THEN rows - last ELSE first - 1 END) LIMIT 1
    ) AS bound
    WHERE CASE WHEN %(down)s THEN last <= rows ELSE first >= 1 END
), high AS MATERIALIZED (
    SELECT bound.* FROM guess, LATERAL (
        SELECT * FROM sample
        OFFSET greatest(0, CASE WHEN %(down)s THEN rows - first ELSE last - 1 END) LIMIT 1
    ) AS bound
    WHERE CASE WHEN %(down)s THEN first >= 1 ELSE last <= rows END
), near AS MATERIALIZED (
    -- one reading counts all, and those before, and keeps those in between
    SELECT count(*) AS count,
           count(*) FILTER (WHERE comes_before) AS before,
           array_agg(ROW (id, number, moment, word, place, tie, tie_word))
               FILTER (WHERE (comes_after OR comes_before) IS NOT TRUE) AS kept
    FROM those, LATERAL (
        SELECT CASE %(bound)s::text
                   WHEN 'moment' THEN moment < (SELECT moment FROM low)
                   WHEN 'word' THEN word < (SELECT word FROM low)
                   WHEN 'place' THEN place < (SELECT place FROM low)
                   WHEN 'number, place' THEN (number, place) < (SELECT number, place FROM low)
                   WHEN 'word, place' THEN (word, place) < (SELECT word, place FROM low)
                   ELSE (number, moment, word) < (SELECT number, moment, word FROM low) END AS under_low,
               CASE %(bound)s
                   WHEN 'moment' THEN moment >= (SELECT moment FROM high)
                   WHEN 'word' THEN word >= (SELECT word FROM high)
                   WHEN 'place' THEN place >= (SELECT place FROM high)
                   WHEN 'number, place' THEN (number, place) >= (SELECT number, place FROM high)
                   WHEN 'word, place' THEN (word, place) >= (SELECT word, place FROM high)
                   ELSE (number, moment, word) >= (SELECT number, moment, word FROM high) END AS over_high
    ) AS compared, LATERAL (
        SELECT %(offset)s > 0 AND CASE WHEN %(down)s THEN over_high ELSE under_low END AS comes_before,
               CASE WHEN %(down)s THEN under_low ELSE over_high END AS comes_after
    ) AS placed
    WHERE NOT %(walk)s
), found AS MATERIALIZED (
    -- if the sample was not like the whole, the page is not among these: then all are sorted
    SELECT count, before, rows, %(offset)s >= count
               OR (before <= %(offset)s AND before + rows >= least(%(offset)s + %(size)s::bigint, count)) AS whole
    FROM near, LATERAL (SELECT coalesce(cardinality(kept), 0) AS rows) AS one
), among AS NOT MATERIALIZED (
    -- of how many rows it is taken, and how many of them come before it
    SELECT CASE WHEN whole THEN rows ELSE count END AS rows,
           CASE WHEN whole THEN %(offset)s - before ELSE %(offset)s END AS skip
    FROM found
    WHERE NOT %(walk)s
), picked AS NOT MATERIALIZED (
    SELECT row.* FROM near, unnest(near.kept) AS row (
        id bigint, number bigint, moment timestamptz, word text, place bigint, tie numeric, tie_word text)
    WHERE (SELECT whole FROM found)
    UNION ALL
    SELECT id, number, moment, word, place, tie, tie_word FROM those
    WHERE (SELECT NOT whole FROM found)
