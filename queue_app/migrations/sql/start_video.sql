-- Says that a task has begun with a claimed job. Returns the job; nothing when the lease is not the caller's. Written
-- before anything else is done, so that a job that kills its process at once counts as started.
CREATE OR REPLACE FUNCTION start_video(p_id uuid, p_lease_token uuid, p_stage text) RETURNS SETOF video_queue
LANGUAGE sql AS $$
    UPDATE video_queue SET stage = p_stage WHERE id = p_id AND lease_token = p_lease_token RETURNING *
$$;
