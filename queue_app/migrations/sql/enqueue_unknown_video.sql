-- Enqueues a video that a viewer asked for, unless it has a job already, in whatever state, was deleted, or is in the store:
-- what somebody ended stays ended until an operator says otherwise. A row of the store may be without a file (by
-- upsert_video_store alone); it was archived all the same. Has the video been enqueued? Of any number of callers at once
-- one has.
CREATE OR REPLACE FUNCTION enqueue_unknown_video(
    p_mal_id bigint,
    p_episode integer,
    p_provider varchar,
    p_video_url text,
    p_resolution varchar,
    p_actor text
) RETURNS boolean
LANGUAGE plpgsql AS $$
DECLARE
    enqueued boolean;
    actor_ text := coalesce(current_setting('reelkeep.actor', true), '');
BEGIN
    IF EXISTS (
        SELECT FROM tombstone t
        WHERE t.mal_id = p_mal_id AND t.episode = p_episode AND t.provider = p_provider
          AND t.resolution IS NOT DISTINCT FROM p_resolution
    ) OR EXISTS (
        SELECT FROM video_store v
        WHERE v.mal_id = p_mal_id AND v.episode = p_episode AND v.provider = p_provider
          AND v.resolution IS NOT DISTINCT FROM p_resolution
    ) THEN
        RETURN false;
    END IF;
    PERFORM set_config('reelkeep.actor', p_actor, true);
    INSERT INTO video_queue (mal_id, episode, provider, video_url, resolution, turn)
    VALUES (p_mal_id, p_episode, p_provider, p_video_url, p_resolution, next_turn(p_mal_id))
    ON CONFLICT ON CONSTRAINT video_queue_key DO NOTHING;
    enqueued := FOUND;
    PERFORM set_config('reelkeep.actor', actor_, true);
    RETURN enqueued;
END $$;
