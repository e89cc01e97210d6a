-- CONTRACT §1.1: stores the result and sets the queue row ready, in one transaction.
CREATE OR REPLACE FUNCTION upsert_video_store(
    p_mal_id bigint,
    p_episode integer,
    p_provider varchar,
    p_resolution varchar DEFAULT NULL,
    p_file_key varchar DEFAULT NULL,
    p_hf_account integer DEFAULT NULL,
    p_hf_repo text DEFAULT NULL,
    p_hf_path text DEFAULT NULL,
    p_hf_direct_url text DEFAULT NULL,
    p_stream_url text DEFAULT NULL
) RETURNS video_store
LANGUAGE plpgsql AS $$
DECLARE
    stored video_store;
    resolution_ varchar := nullif(p_resolution, '');
BEGIN
    INSERT INTO video_store AS s (
        mal_id, episode, provider, resolution, file_key, hf_account, hf_repo, hf_path, hf_direct_url, stream_url
    ) VALUES (
        p_mal_id, p_episode, p_provider, resolution_, p_file_key, p_hf_account, p_hf_repo, p_hf_path,
        p_hf_direct_url, p_stream_url
    )
    ON CONFLICT ON CONSTRAINT video_store_key DO UPDATE
        SET file_key = excluded.file_key, hf_account = excluded.hf_account, hf_repo = excluded.hf_repo,
            hf_path = excluded.hf_path, hf_direct_url = excluded.hf_direct_url, stream_url = excluded.stream_url,
            created_at = now(), stored_file_id = NULL
    RETURNING s.* INTO stored;

    UPDATE video_queue q
    SET status = 'ready', error_message = NULL, failure_class = '', not_before = NULL, stage = '',
        lease_token = NULL, lease_expires_at = NULL, speed = NULL, artifact = NULL
    WHERE q.mal_id = p_mal_id AND q.episode = p_episode AND q.provider = p_provider
      AND q.resolution IS NOT DISTINCT FROM resolution_;
    RETURN stored;
END $$;
