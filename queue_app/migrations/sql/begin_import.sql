-- Takes a video in hand whose file an operator has: its job is in work for the caller, so that no worker begins with it. No
-- row when it is ready, or in work already; what a killed import had is free once its lease has run out. before_ is the
-- status that its job had; NULL: there was none.
CREATE OR REPLACE FUNCTION begin_import(
    p_mal_id bigint, p_episode integer, p_provider varchar, p_resolution varchar, p_video_url text, p_worker text,
    p_artifact jsonb, p_lease interval
) RETURNS TABLE (id_ uuid, token_ uuid, before_ text)
LANGUAGE plpgsql AS $$
DECLARE
    known_url text;
BEGIN
    SELECT q.status, q.video_url INTO before_, known_url FROM video_queue q
    WHERE q.mal_id = p_mal_id AND q.episode = p_episode AND q.provider = p_provider
      AND q.resolution IS NOT DISTINCT FROM p_resolution FOR UPDATE;
    IF before_ = 'uploading' THEN
        before_ := CASE WHEN known_url LIKE 'file:%' THEN NULL ELSE 'pending' END;
    END IF;
    PERFORM set_config('reelkeep.actor', p_worker, true), set_config('reelkeep.reason', 'Its file is imported.', true);
    INSERT INTO video_queue AS q (
        mal_id, episode, provider, resolution, video_url, status, worker_id, artifact, stage, claimed_at, lease_token,
        lease_expires_at
    ) VALUES (
        p_mal_id, p_episode, p_provider, p_resolution, p_video_url, 'uploading', p_worker, p_artifact, 'import', now(),
        gen_random_uuid(), now() + p_lease
    )
    ON CONFLICT ON CONSTRAINT video_queue_key DO UPDATE
        SET status = 'uploading', worker_id = excluded.worker_id, artifact = excluded.artifact, stage = 'import',
            claimed_at = now(), lease_token = excluded.lease_token, lease_expires_at = excluded.lease_expires_at,
            not_before = NULL, bytes_done = 0, bytes_total = NULL, speed = NULL
        WHERE q.status IN ('pending', 'failed', 'cancelled') OR q.stage = 'import' AND q.lease_expires_at < now()
    RETURNING q.id, q.lease_token INTO id_, token_;
    PERFORM set_config('reelkeep.actor', '', true), set_config('reelkeep.reason', '', true);
    IF id_ IS NOT NULL THEN
        RETURN NEXT;
    END IF;
END $$;
