-- An operator's hand: puts these jobs back to pending with all their attempts, whatever they are doing. A worker that is
-- at one of them loses its lease and writes nothing more. p_only restricts it to jobs in that status. Returns the ids.
CREATE OR REPLACE FUNCTION reset_videos(p_ids uuid[], p_actor text, p_reason text, p_only text DEFAULT NULL)
RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('reelkeep.actor', p_actor, true), set_config('reelkeep.reason', p_reason, true);
    RETURN QUERY
        UPDATE video_queue
        SET status = 'pending', attempt = 0, not_before = NULL, error_message = NULL, failure_class = '', stage = '',
            bytes_done = 0, bytes_total = NULL, speed = NULL, claimed_at = NULL, worker_id = NULL,
            lease_token = NULL, lease_expires_at = NULL, artifact = NULL
        WHERE video_queue.id = ANY (p_ids) AND (p_only IS NULL OR status = p_only)
        RETURNING video_queue.id;
    PERFORM set_config('reelkeep.actor', '', true), set_config('reelkeep.reason', '', true);
END $$;
