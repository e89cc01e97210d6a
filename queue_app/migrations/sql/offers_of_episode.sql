-- All ways to see an episode, in the order in which they are shown: its enabled sources, each with whether its video is
-- archived, its job's status, and what is known of its URL (an answer is told for p_stale); then archived videos of which
-- no source is registered any more. A function, because its plan is kept: planning costs more than running it.
CREATE OR REPLACE FUNCTION offers_of_episode(p_mal_id bigint, p_episode integer, p_stale interval)
RETURNS TABLE (
    provider_ varchar, resolution_ varchar, label_ varchar, url_ text, resolver_ varchar, archived boolean,
    job_status varchar, url_resolved_ text, fresh boolean, asking boolean
)
LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN QUERY
        SELECT s.provider, s.resolution, s.label, s.url, s.resolver, v.id IS NOT NULL, q.status,
               CASE WHEN r.resolved_at > now() - p_stale THEN r.url_resolved END,
               coalesce(r.expires_at > now(), false), coalesce(r.lease_expires_at > now(), false)
        FROM work_source s
        LEFT JOIN video_store v
            ON v.mal_id = p_mal_id AND v.episode = p_episode AND v.provider = s.provider
            AND v.resolution IS NOT DISTINCT FROM s.resolution AND v.stored_file_id IS NOT NULL
        LEFT JOIN video_queue q
            ON q.mal_id = p_mal_id AND q.episode = p_episode AND q.provider = s.provider
            AND q.resolution IS NOT DISTINCT FROM s.resolution
        -- The key is queue_app.sources.wanted's.
        LEFT JOIN resolved_source r ON r.key = encode(sha256(convert_to(
            s.resolver || chr(10) || coalesce(s.resolution, '') || chr(10) || s.url, 'UTF8')), 'hex')
        WHERE s.work_id = p_mal_id AND s.episode = p_episode AND s.enabled
        ORDER BY s.position, s.id;
    RETURN QUERY
        SELECT v.provider, v.resolution, ''::varchar, '', ''::varchar, true, NULL::varchar, NULL, false, false
        FROM video_store v
        WHERE v.mal_id = p_mal_id AND v.episode = p_episode AND v.stored_file_id IS NOT NULL AND NOT EXISTS (
            SELECT FROM work_source s
            WHERE s.work_id = p_mal_id AND s.episode = p_episode AND s.enabled AND s.provider = v.provider
              AND s.resolution IS NOT DISTINCT FROM v.resolution
        )
        ORDER BY v.provider, v.resolution;
END $$;
