-- Jobs of videos that were restored from their manifests, or taken in from a folder: ready, without anything having been
-- downloaded. p_videos: objects of mal_id, episode, provider, resolution, video_url, page_url and archived_at. A job that
-- waits or has ended becomes ready too; one in work is left alone, but for that which holds p_lease_token. Returns how many.
CREATE OR REPLACE FUNCTION restore_videos(
    p_videos jsonb, p_actor text, p_reason text, p_lease_token uuid DEFAULT NULL
) RETURNS integer
LANGUAGE plpgsql AS $$
DECLARE
    changed integer;
BEGIN
    PERFORM set_config('reelkeep.actor', p_actor, true), set_config('reelkeep.reason', p_reason, true);
    INSERT INTO video_queue AS q (
        mal_id, episode, provider, resolution, video_url, page_url, status, created_at, updated_at
    )
    SELECT (v ->> 'mal_id')::bigint, (v ->> 'episode')::integer, v ->> 'provider', v ->> 'resolution',
           v ->> 'video_url', v ->> 'page_url', 'ready', (v ->> 'archived_at')::timestamptz,
           (v ->> 'archived_at')::timestamptz
    FROM jsonb_array_elements(p_videos) v
    ORDER BY 1, 2, 3, 4
    ON CONFLICT ON CONSTRAINT video_queue_key DO UPDATE
        SET status = 'ready', error_message = NULL, failure_class = '', not_before = NULL, stage = '',
            lease_token = NULL, lease_expires_at = NULL, speed = NULL, artifact = NULL
        WHERE q.status IN ('pending', 'failed', 'cancelled') OR q.lease_token = p_lease_token;
    GET DIAGNOSTICS changed = ROW_COUNT;
    PERFORM set_config('reelkeep.actor', '', true), set_config('reelkeep.reason', '', true);
    RETURN changed;
END $$;
