-- Enqueues a list of videos in one transaction, by enqueue_video: objects of mal_id, episode, provider, resolution,
-- video_url and, where they are to be set, priority, page_url and mirrors. Whatever the list's order, rows are locked in that of their keys, so
-- that two lists which share videos wait for one another instead of ending in a deadlock.
-- Returns for each place in the list (from 1) the job, its status, and its status before (NULL: it is new).
-- With p_dry_run nothing is written, and the id of what would be new is NULL.
CREATE OR REPLACE FUNCTION enqueue_videos(p_videos jsonb, p_dry_run boolean DEFAULT false)
RETURNS TABLE (place bigint, id uuid, status text, before text)
LANGUAGE plpgsql AS $$
DECLARE
    video record;
    job video_queue;
    known video_queue;
BEGIN
    FOR video IN
        SELECT v.ordinality, (v.value ->> 'mal_id')::bigint AS mal_id, (v.value ->> 'episode')::integer AS episode,
               v.value ->> 'provider' AS provider, nullif(v.value ->> 'resolution', '') AS resolution,
               v.value ->> 'video_url' AS video_url, (v.value ->> 'priority')::smallint AS priority,
               coalesce(v.value ->> 'page_url', '') AS page_url, coalesce(v.value -> 'mirrors', '[]') AS mirrors
        FROM jsonb_array_elements(p_videos) WITH ORDINALITY v
        ORDER BY 2, 3, 4, 5, 1
    LOOP
        SELECT q.* INTO known FROM video_queue q
        WHERE q.mal_id = video.mal_id AND q.episode = video.episode AND q.provider = video.provider
          AND q.resolution IS NOT DISTINCT FROM video.resolution;
        IF p_dry_run THEN
            job := known;
            job.status := CASE WHEN known.status IN ('downloading', 'uploading', 'ready') THEN known.status ELSE 'pending' END;
        ELSE
            job := enqueue_video(video.mal_id, video.episode, video.provider, video.video_url, video.resolution);
            IF video.page_url <> '' OR video.mirrors <> '[]' THEN
                PERFORM set_video_source(job.id, video.video_url, video.page_url, video.mirrors);
            END IF;
            UPDATE video_queue q SET priority = video.priority
            WHERE q.id = job.id AND q.priority <> video.priority AND q.status IN ('pending', 'downloading', 'uploading');
        END IF;
        place := video.ordinality;
        id := job.id;
        status := job.status;
        before := known.status;
        RETURN NEXT;
    END LOOP;
END $$;
