-- Where else a waiting job's video may be had: the page that its URL came from ('': none), and a list of URLs of the same
-- file. Only while the job waits with this very URL; a job that was left as it was keeps what it had.
CREATE OR REPLACE FUNCTION set_video_source(p_id uuid, p_video_url text, p_page_url text, p_mirrors jsonb) RETURNS void
LANGUAGE sql AS $$
    UPDATE video_queue
    SET page_url = p_page_url,
        options = CASE WHEN p_mirrors = '[]' THEN options - 'mirrors' ELSE options || jsonb_build_object('mirrors', p_mirrors) END
    WHERE id = p_id AND status = 'pending' AND video_url = p_video_url
      AND (page_url <> p_page_url OR coalesce(options -> 'mirrors', '[]') <> p_mirrors)
$$;
