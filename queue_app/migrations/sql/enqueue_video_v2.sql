-- CONTRACT §1.1. Returns the row of this key. A new key is inserted as pending; a failed or cancelled job takes the new
-- URL and starts afresh; a ready job and one in work are left alone. Safe to call from any number of connections.
CREATE OR REPLACE FUNCTION enqueue_video(
    p_mal_id bigint,
    p_episode integer,
    p_provider varchar,
    p_video_url text,
    p_resolution varchar DEFAULT NULL
) RETURNS video_queue
LANGUAGE plpgsql AS $$
DECLARE
    job video_queue;
    resolution_ varchar := nullif(p_resolution, '');
BEGIN
    IF p_video_url IS NULL OR p_video_url !~* '^https?://[^/]' THEN
        RAISE EXCEPTION 'p_video_url must be an http:// or https:// URL' USING ERRCODE = 'check_violation';
    END IF;
    LOOP
        INSERT INTO video_queue AS q (mal_id, episode, provider, video_url, resolution, turn)
        VALUES (p_mal_id, p_episode, p_provider, p_video_url, resolution_, next_turn(p_mal_id))
        ON CONFLICT ON CONSTRAINT video_queue_key DO UPDATE
            SET status = 'pending', video_url = excluded.video_url, turn = excluded.turn, attempt = 0, not_before = NULL,
                error_message = NULL, failure_class = '', stage = '', bytes_done = 0, bytes_total = NULL,
                speed = NULL, claimed_at = NULL, worker_id = NULL, lease_token = NULL, lease_expires_at = NULL, artifact = NULL,
                page_url = '', options = q.options - 'mirrors'
            WHERE q.status IN ('failed', 'cancelled')
        RETURNING q.* INTO job;
        EXIT WHEN FOUND;
        SELECT q.* INTO job FROM video_queue q
        WHERE q.mal_id = p_mal_id AND q.episode = p_episode AND q.provider = p_provider
          AND q.resolution IS NOT DISTINCT FROM resolution_;
        EXIT WHEN FOUND;  -- else it was deleted in between: insert again
    END LOOP;
    RETURN job;
END $$;
