-- The turn of a work's next video: behind the work's own that wait, but beside whatever goes next. So a work with 500
-- episodes and one with a single video alternate, whoever came first.
CREATE OR REPLACE FUNCTION next_turn(p_mal_id bigint) RETURNS bigint
LANGUAGE sql STABLE AS $$
    SELECT greatest(
        (SELECT turn FROM video_queue WHERE status = 'pending' AND not_before IS NULL
         ORDER BY priority DESC, turn, created_at LIMIT 1),
        (SELECT max(turn) + 1 FROM video_queue WHERE status = 'pending' AND mal_id = p_mal_id),
        0
    )
$$;
