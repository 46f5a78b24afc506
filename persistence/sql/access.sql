-- name: organizer_add one organizer, or the one that has the slug already
INSERT INTO organizers (slug, name) VALUES (%(slug)s, %(name)s)
ON CONFLICT ON CONSTRAINT organizers_slug_key DO UPDATE SET slug = excluded.slug
RETURNING id;

-- name: organizer_by_slug one organizer
SELECT id, slug, name FROM organizers WHERE slug = %(slug)s;

-- name: principal what the owner of a token may do; no row for unknown and revoked tokens
SELECT t.token_hash, o.id AS organizer_id, o.slug AS organizer, m.id AS team_id, m.permissions, m.all_events,
       m.limit_events
FROM api_tokens t
JOIN teams m ON m.id = t.team_id
JOIN organizers o ON o.id = m.organizer_id
WHERE t.token_hash = %(token_hash)s AND t.active;

-- name: team_add a team
INSERT INTO teams (organizer_id, name, all_events, limit_events, permissions, body)
VALUES (%(organizer_id)s, %(name)s, %(all_events)s, %(limit_events)s, %(permissions)s, %(body)s)
RETURNING id;

-- name: teams all teams of an organizer
SELECT id, name, all_events, limit_events, permissions, body FROM teams
WHERE organizer_id = %(organizer_id)s ORDER BY id;

-- name: team one team, locked until the transaction ends
SELECT id, name, all_events, limit_events, permissions, body FROM teams
WHERE organizer_id = %(organizer_id)s AND id = %(id)s
FOR UPDATE;

-- name: team_replace a team's content
UPDATE teams SET name = %(name)s, all_events = %(all_events)s, limit_events = %(limit_events)s,
                 permissions = %(permissions)s, body = %(body)s
WHERE id = %(id)s;

-- name: team_remove a team and its tokens
DELETE FROM teams WHERE organizer_id = %(organizer_id)s AND id = %(id)s;

-- name: unknown_events those of some slugs that no event of the organizer has
SELECT slug FROM unnest(%(slugs)s::text[]) AS wanted (slug)
WHERE NOT EXISTS (SELECT FROM events e WHERE e.organizer_id = %(organizer_id)s AND e.slug = wanted.slug);

-- name: token_add a token, by its hash
INSERT INTO api_tokens (team_id, name, token_hash) VALUES (%(team_id)s, %(name)s, %(token_hash)s) RETURNING id;

-- name: tokens all tokens of a team
SELECT id, name, active FROM api_tokens WHERE team_id = %(team_id)s ORDER BY id;

-- name: token_disable a token of a team, for good
UPDATE api_tokens SET active = false WHERE team_id = %(team_id)s AND id = %(id)s RETURNING id, name, active;

-- name: token_revoke a token by its hash, for good
UPDATE api_tokens SET active = false WHERE token_hash = %(token_hash)s AND active;
