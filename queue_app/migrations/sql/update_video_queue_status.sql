-- CONTRACT §1.1: sets status and error; failed adds one to retry_count. Setting a status in work renews the six hours
-- of claim_pending_videos; any other status ends the lease, and pending gives all attempts back. Returns the row; NULL
-- columns when there is no such job.
CREATE OR REPLACE FUNCTION update_video_queue_status(p_id uuid, p_status varchar, p_error text DEFAULT NULL)
RETURNS video_queue
LANGUAGE sql AS $$
    UPDATE video_queue
    SET status = p_status,
        error_message = CASE WHEN p_status = 'ready' THEN p_error ELSE coalesce(p_error, error_message) END,
        failure_class = CASE WHEN p_status = 'failed' THEN 'internal' ELSE '' END,
        attempt = CASE WHEN p_status = 'pending' THEN 0 ELSE attempt END,
        retry_count = retry_count + CASE WHEN p_status = 'failed' THEN 1 ELSE 0 END,
        lease_token = CASE WHEN p_status IN ('downloading', 'uploading')
            THEN coalesce(lease_token, gen_random_uuid()) END,
        lease_expires_at = CASE WHEN p_status IN ('downloading', 'uploading') THEN now() + interval '6 hours' END,
        not_before = NULL, speed = NULL, stage = ''
    WHERE id = p_id
    RETURNING *
$$;
