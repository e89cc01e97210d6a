-- Progress is the heartbeat: writes it and renews the lease. False when the lease is no longer the caller's.
CREATE OR REPLACE FUNCTION heartbeat_video(
    p_id uuid, p_lease_token uuid, p_lease interval, p_stage text,
    p_bytes_done bigint, p_bytes_total bigint, p_speed bigint
) RETURNS boolean
LANGUAGE sql AS $$
    WITH renewed AS (
        UPDATE video_queue
        SET lease_expires_at = now() + p_lease, stage = p_stage,
            bytes_done = p_bytes_done, bytes_total = p_bytes_total, speed = p_speed
        WHERE id = p_id AND lease_token = p_lease_token
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM renewed)
$$;
