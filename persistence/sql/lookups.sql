-- name: items those of some ids that are items of the organizer, in any of its events
SELECT i.id FROM items i JOIN events e ON e.id = i.event_id
WHERE i.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;

-- name: variations those of some ids that are variations of the organizer, in any of its events
SELECT v.id FROM variations v JOIN events e ON e.id = v.event_id
WHERE v.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;

-- name: subevents those of some ids that are dates of the organizer, in any of its events
SELECT s.id FROM subevents s JOIN events e ON e.id = s.event_id
WHERE s.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;

-- name: questions those of some ids that are questions of the organizer, in any of its events
SELECT q.id FROM questions q JOIN events e ON e.id = q.event_id
WHERE q.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;

-- name: question_options those of some ids that are options of the organizer's questions, in any of its events
SELECT o.id FROM question_options o JOIN events e ON e.id = o.event_id
WHERE o.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;

-- name: tax_rules those of some ids that are tax rules of the organizer, in any of its events
SELECT t.id FROM tax_rules t JOIN events e ON e.id = t.event_id
WHERE t.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;

-- name: vouchers those of some ids that are vouchers of the organizer, in any of its events
SELECT v.id FROM vouchers v JOIN events e ON e.id = v.event_id
WHERE v.id = ANY(%(ids)s) AND e.organizer_id = %(organizer_id)s;
