-- An operator's hand: ends these jobs, wherever they are short of their end. A worker that is at one of them loses its
-- lease and stops at its next heartbeat. Returns the ids of those that were cancelled.
CREATE OR REPLACE FUNCTION cancel_videos(p_ids uuid[], p_actor text, p_reason text) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('reelkeep.actor', p_actor, true), set_config('reelkeep.reason', p_reason, true);
    RETURN QUERY
        UPDATE video_queue
        SET status = 'cancelled', not_before = NULL, stage = '', speed = NULL,
            lease_token = NULL, lease_expires_at = NULL, artifact = NULL
        WHERE video_queue.id = ANY (p_ids) AND status IN ('pending', 'downloading', 'uploading')
        RETURNING video_queue.id;
    PERFORM set_config('reelkeep.actor', '', true), set_config('reelkeep.reason', '', true);
END $$;
