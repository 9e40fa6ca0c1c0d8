PRAGMA application_id=1380338772;
BEGIN TRANSACTION;
CREATE TABLE due (
	episode_id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	graph TEXT NOT NULL, 
	task_key TEXT, 
	judged_at TEXT NOT NULL, 
	PRIMARY KEY (episode_id)
)
 STRICT

;
INSERT INTO "due" VALUES('00000000000000000000000000000003','["acme","support"]','agent','same','2026-11-26T13:21:54.519136+00:00');
INSERT INTO "due" VALUES('00000000000000000000000000000004','["acme","support"]','agent',NULL,'2026-11-26T13:21:54.529931+00:00');
CREATE TABLE episode_metadata (
	episode_id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY (episode_id, "key")
)
 STRICT

;
INSERT INTO "episode_metadata" VALUES('00000000000000000000000000000001','ticket','"T-1"');
INSERT INTO "episode_metadata" VALUES('00000000000000000000000000000002','ticket','"T-2"');
INSERT INTO "episode_metadata" VALUES('00000000000000000000000000000003','ticket','"T-3"');
INSERT INTO "episode_metadata" VALUES('00000000000000000000000000000004','ticket','"T-4"');
CREATE TABLE episodes (
	id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	graph TEXT NOT NULL, 
	task TEXT NOT NULL, 
	task_key TEXT, 
	status TEXT NOT NULL, 
	arm TEXT NOT NULL, 
	thread_id TEXT, 
	started_at TEXT NOT NULL, 
	ended_at TEXT, 
	error TEXT, 
	shown TEXT NOT NULL, 
	model TEXT, 
	usage TEXT NOT NULL, 
	parent_id TEXT, 
	metadata TEXT NOT NULL, 
	run_ids TEXT DEFAULT '[]' NOT NULL, 
	forked_from TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT episode_has_status CHECK (status <> '' AND arm <> '')
)
 STRICT

;
INSERT INTO "episodes" VALUES('00000000000000000000000000000001','["acme","support"]','agent','Task 1 ü','same','ok','treated',NULL,'2026-11-01T09:01:00.000000+00:00','2026-11-01T09:01:00.000000+00:00',NULL,'[]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-1"}','[]',NULL);
INSERT INTO "episodes" VALUES('00000000000000000000000000000002','["acme","support"]','agent','Task 2 ü','same','ok','treated',NULL,'2026-11-01T09:02:00.000000+00:00','2026-11-01T09:02:00.000000+00:00',NULL,'["L-000000000001"]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-2"}','[]',NULL);
INSERT INTO "episodes" VALUES('00000000000000000000000000000003','["acme","support"]','agent','Task 3 ü','same','ok','treated',NULL,'2026-11-01T09:03:00.000000+00:00','2026-11-01T09:03:00.000000+00:00',NULL,'["L-000000000001"]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-3"}','[]',NULL);
INSERT INTO "episodes" VALUES('00000000000000000000000000000004','["acme","support"]','agent','Task 4 ü',NULL,'interrupted','treated','t','2026-11-01T09:04:00.000000+00:00','2026-11-01T09:04:00.000000+00:00',NULL,'[]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-4"}','["00000000-0000-0000-0000-00000000002c"]',NULL);
CREATE TABLE evidence (
	episode_id TEXT NOT NULL, 
	lesson_id TEXT NOT NULL, 
	PRIMARY KEY (episode_id, lesson_id)
)
 STRICT

;
INSERT INTO "evidence" VALUES('00000000000000000000000000000001','L-000000000001');
CREATE TABLE exposures (
	episode_id TEXT NOT NULL, 
	lesson_id TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	shown INTEGER NOT NULL, 
	probability REAL NOT NULL, 
	arm TEXT NOT NULL, 
	rank INTEGER NOT NULL, 
	score REAL NOT NULL, 
	tokens INTEGER NOT NULL, 
	PRIMARY KEY (episode_id, lesson_id), 
	CONSTRAINT probability_in_range CHECK (probability >= 0 AND probability <= 1), 
	CONSTRAINT shown_or_not CHECK (shown IN (0, 1))
)
 STRICT

;
INSERT INTO "exposures" VALUES('00000000000000000000000000000001','L-000000000001',1,0,0.75,'treated',0,0.0,0);
INSERT INTO "exposures" VALUES('00000000000000000000000000000002','L-000000000001',1,1,0.75,'treated',0,0.0,0);
INSERT INTO "exposures" VALUES('00000000000000000000000000000003','L-000000000001',1,1,0.75,'treated',0,0.0,0);
CREATE TABLE job_episodes (
	episode_id TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	PRIMARY KEY (episode_id)
)
 STRICT

;
INSERT INTO "job_episodes" VALUES('00000000000000000000000000000003','J-1ad7967df7a346af');
CREATE TABLE jobs (
	id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	graph TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	state TEXT NOT NULL, 
	fence INTEGER NOT NULL, 
	owner TEXT, 
	leased_until TEXT, 
	not_before TEXT, 
	failures INTEGER NOT NULL, 
	problem TEXT, 
	reflection_id TEXT, 
	created_at TEXT NOT NULL, 
	changed_at TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT job_state_known CHECK (state IN ('ready', 'leased', 'parked', 'done'))
)
 STRICT

;
INSERT INTO "jobs" VALUES('J-1ad7967df7a346af','["acme","support"]','agent','key:same','','ready',0,NULL,NULL,NULL,0,NULL,NULL,'2026-11-26T13:21:54.552995+00:00','2026-11-26T13:21:54.552995+00:00');
CREATE TABLE lesson_texts (
	lesson_id TEXT NOT NULL, 
	position INTEGER NOT NULL, 
	text_hash TEXT NOT NULL, 
	PRIMARY KEY (lesson_id, position)
)
 STRICT

;
INSERT INTO "lesson_texts" VALUES('L-000000000001',0,'322a6918a417b143d6dc12f566c99c813e8bdb7ee8a8389e1dac640bbcb5c8cf');
INSERT INTO "lesson_texts" VALUES('L-000000000001',1,'0f12665ea2083d79aec148861e46b4e146c9123e6beed4a2f3b8f9aab6a4e6a0');
CREATE TABLE lessons (
	id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	status TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	version INTEGER NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT revision_counts CHECK (revision >= 1)
)
 STRICT

;
INSERT INTO "lessons" VALUES('L-000000000001','["acme","support"]','candidate',2,2,'{"title": "", "when": "a flight moves", "when_not": "", "do": "check the fare class first", "why": "", "examples": [], "id": "L-000000000001", "namespace": ["acme", "support"], "revision": 2, "status": "candidate", "evidence": ["00000000-0000-0000-0000-000000000001"], "tasks": ["Task 1 \u00fc"], "origin": "human", "created_at": "2026-11-26T13:21:54.534848Z", "updated_at": "2026-11-26T13:21:54.534850Z"}');
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
)
 STRICT

;
INSERT INTO "meta" VALUES('lessons_version','2');
CREATE TABLE outcomes (
	namespace TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	source TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	content TEXT NOT NULL, 
	observed_at TEXT NOT NULL, 
	reward REAL, 
	feedback TEXT, 
	detail TEXT, 
	retracted INTEGER DEFAULT '0' NOT NULL, 
	recorded_at TEXT NOT NULL, 
	PRIMARY KEY (namespace, episode_id, source, "key", content, observed_at), 
	CONSTRAINT reward_in_range CHECK (reward IS NULL OR (reward >= 0 AND reward <= 1)), 
	CONSTRAINT says_something CHECK (reward IS NOT NULL OR feedback IS NOT NULL OR retracted = 1)
)
 STRICT

;
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000001','verifier','','0f25a2259e0d0da816a6a7aaf3cb3315619f2900662773a2221c2d3c531d232d','2026-11-01T09:00:00.000000+00:00',0.25,NULL,NULL,0,'2026-11-26T13:21:54.502519+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000002','verifier','','84bc82481d2bc1831e05074dc4a7595e4cb720b55ac243048ad6ca02464985bd','2026-11-01T09:00:00.000000+00:00',0.5,NULL,NULL,0,'2026-11-26T13:21:54.512142+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000003','verifier','','49ca226ea8f1f78096fe6e72e5d326ceb499167fe205f99b944d27c112cde4fb','2026-11-01T09:00:00.000000+00:00',0.75,NULL,NULL,0,'2026-11-26T13:21:54.519136+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000001','zendesk','e-1','eb8dd64fcfd330535aa47242c07f7d45297a0f673decf4014bcd90220218d915','2026-11-01T09:00:00.000000+00:00',NULL,'It was late.',NULL,0,'2026-11-26T13:21:54.522314+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000004','user','','e65cf4d0e86ad8643506a1917f2c95d01a3ff9172bfe45203c623cad54d68964','2026-11-01T09:00:00.000000+00:00',1.0,NULL,NULL,0,'2026-11-26T13:21:54.529931+00:00');
INSERT INTO "outcomes" VALUES('["default"]','00000000000000000000000000000063','early','','84bc82481d2bc1831e05074dc4a7595e4cb720b55ac243048ad6ca02464985bd','2026-11-01T09:00:00.000000+00:00',0.5,NULL,NULL,0,'2026-11-26T13:21:54.532917+00:00');
CREATE TABLE reflected (
	episode_id TEXT NOT NULL, 
	reflection_id TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (episode_id)
)
 STRICT

;
INSERT INTO "reflected" VALUES('00000000000000000000000000000001','R-1','2026-11-26T13:21:54.547612+00:00');
INSERT INTO "reflected" VALUES('00000000000000000000000000000002','R-1','2026-11-26T13:21:54.548048+00:00');
CREATE TABLE reflections (
	id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	at TEXT NOT NULL, 
	report TEXT NOT NULL, 
	replies TEXT, 
	PRIMARY KEY (id)
)
 STRICT

;
INSERT INTO "reflections" VALUES('R-1','["acme","support"]','2026-11-26T13:21:54.546462+00:00','{"id": "R-1", "groups": 1, "drafts": 0, "edits": [], "usage": {"calls": 2, "tokens_in": 0, "tokens_out": 0}, "errors": [], "seconds": 0.0, "outages": 0, "retry_after": null}','{"said": []}');
CREATE TABLE revisions (
	lesson_id TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (lesson_id, revision)
)
 STRICT

;
INSERT INTO "revisions" VALUES('L-000000000001',1,'add','R-1','','2026-11-01T09:00:00.000000+00:00','{"title": "", "when": "a flight moves", "when_not": "", "do": "check the fare first", "why": "", "examples": [], "id": "L-000000000001", "namespace": ["acme", "support"], "revision": 1, "status": "candidate", "evidence": ["00000000-0000-0000-0000-000000000001"], "tasks": ["Task 1 \u00fc"], "origin": "human", "created_at": "2026-11-26T13:21:54.534848Z", "updated_at": "2026-11-26T13:21:54.534850Z"}');
INSERT INTO "revisions" VALUES('L-000000000001',2,'revise','dana','sharper','2026-11-01T09:00:00.000000+00:00','{"title": "", "when": "a flight moves", "when_not": "", "do": "check the fare class first", "why": "", "examples": [], "id": "L-000000000001", "namespace": ["acme", "support"], "revision": 2, "status": "candidate", "evidence": ["00000000-0000-0000-0000-000000000001"], "tasks": ["Task 1 \u00fc"], "origin": "human", "created_at": "2026-11-26T13:21:54.534848Z", "updated_at": "2026-11-26T13:21:54.534850Z"}');
CREATE TABLE revoked_sources (
	namespace TEXT NOT NULL, 
	source TEXT NOT NULL, 
	at TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (namespace, source)
)
 STRICT

;
INSERT INTO "revoked_sources" VALUES('["acme","support"]','rumour','2026-11-26T13:21:54.554432+00:00','unreliable');
CREATE TABLE runs (
	run_id TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	PRIMARY KEY (run_id)
)
 STRICT

;
INSERT INTO "runs" VALUES('0000000000000000000000000000002c','00000000000000000000000000000004');
CREATE TABLE schema_migrations (
	name TEXT NOT NULL, 
	applied_at TEXT NOT NULL, 
	PRIMARY KEY (name)
)
 STRICT

;
INSERT INTO "schema_migrations" VALUES('0001_first_schema','2026-11-26T13:21:54.484747+00:00');
INSERT INTO "schema_migrations" VALUES('0002_resumed_runs','2026-11-26T13:21:54.485452+00:00');
INSERT INTO "schema_migrations" VALUES('0003_strict_tables_and_jobs','2026-11-26T13:21:54.485612+00:00');
CREATE TABLE spending (
	namespace TEXT NOT NULL, 
	day TEXT NOT NULL, 
	calls INTEGER NOT NULL, 
	tokens INTEGER NOT NULL, 
	PRIMARY KEY (namespace, day)
)
 STRICT

;
INSERT INTO "spending" VALUES('["acme","support"]','2026-11-26',2,0);
CREATE TABLE studied (
	episode_id TEXT NOT NULL, 
	reflection_id TEXT NOT NULL, 
	PRIMARY KEY (episode_id, reflection_id)
)
 STRICT

;
INSERT INTO "studied" VALUES('00000000000000000000000000000001','R-1');
INSERT INTO "studied" VALUES('00000000000000000000000000000002','R-1');
CREATE TABLE tombstones (
	digest TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (digest)
)
 STRICT

;
CREATE TABLE trajectories (
	episode_id TEXT NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (episode_id)
)
 STRICT

;
INSERT INTO "trajectories" VALUES('00000000000000000000000000000001',X'785E458E4B0AC3300C44AF12B4EEA25EB65729C19844B426B26CFCA114E3BB474A03D9088DA4799A0E194BA30ACFA9034B35E33641A9988A885787CDF32A1D84B82281ECD8053C062A3CA7A65E6E442263AB7FDD61895C91B507C7E58B79326AA831925D1CD1819FF519E61CF3C52027BEE567835E9CDC56DC5B9F0AF6B49A83B52117EB35F6E3D2124206774527573F9A00C63C763B8C48A2');
INSERT INTO "trajectories" VALUES('00000000000000000000000000000002',X'785E458E4B0AC3300C44AF62B4EEA2CDAEBD4A09C624A2359165E30FA518DFBD521AC8466824CDD374C8581A5578980E2C751A1703A5622A229E1D36CFAB7410E28A04B26317701FA8F09C9A7AB911898CADFE7587257245D61E1C970F6633A9A1C6487671443B7ED6679873CC27839CF896AF0D7A71705B712F7D2AD8C37ADB591B72B15E63DF4F2D216470557472F5AD0960CCE3073CE448A4');
INSERT INTO "trajectories" VALUES('00000000000000000000000000000003',X'785E458E4B0AC3300C44AF62B4EEA225ABF62A25189388D644968D3F94627CF74A69201BA191344FD321636954E1613AB0D4695C0C948AA9887876D83CAFD241882B12C88E5DC07DA0C2736AEAE5462432B6FAD71D96C815597B705C3E98CDA4861A23D9C511EDF8599F61CE319F0C72E25BBE36E8C5C16DC5BDF4A9600FEB6D676DC8C57A8D7D3FB58490C155D1C9D5B72680318F1F3E3C48A6');
INSERT INTO "trajectories" VALUES('00000000000000000000000000000004',X'785E458E4B0AC3300C44AF62B4EEA2856CDAAB94604C225A135936FE508AF1DD2BA5816C8446D23C4D878CA5518587E9C052A77131502AA622E2D961F3BC4A0721AE48203B7601F7810ACFA9A9971B91C8D8EA5F7758225764EDC171F96036931A6A8C641747B4E3677D8639C77C32C8896FF9DAA01707B715F7D2A7823DACB79DB52117EB35F6FDD412420657452757DF9A00C63C7E3F9448A8');
CREATE TABLE vectors (
	text_hash TEXT NOT NULL, 
	embedder TEXT NOT NULL, 
	data BLOB NOT NULL, 
	PRIMARY KEY (text_hash, embedder)
)
 STRICT

;
INSERT INTO "vectors" VALUES('b096adc6b217ba33a67dc7810754267b04b4cca68c5ff9a4e7634d3c5387012c','e',X'0000803F000000000000000000000000');
INSERT INTO "vectors" VALUES('322a6918a417b143d6dc12f566c99c813e8bdb7ee8a8389e1dac640bbcb5c8cf','e',X'0000803F000000000000000000000000');
INSERT INTO "vectors" VALUES('0f12665ea2083d79aec148861e46b4e146c9123e6beed4a2f3b8f9aab6a4e6a0','e',X'0000803F000000000000000000000000');
CREATE INDEX episodes_by_thread ON episodes (thread_id);
CREATE INDEX episodes_by_task ON episodes (namespace, graph, task_key);
CREATE INDEX episodes_by_status ON episodes (status, started_at);
CREATE INDEX episodes_by_time ON episodes (namespace, graph, started_at);
CREATE INDEX episodes_by_age ON episodes (started_at);
CREATE INDEX runs_by_episode ON runs (episode_id);
CREATE INDEX episodes_by_metadata ON episode_metadata ("key", value);
CREATE INDEX outcomes_by_episode ON outcomes (episode_id);
CREATE INDEX outcomes_by_source ON outcomes (namespace, source);
CREATE INDEX exposures_by_lesson ON exposures (lesson_id);
CREATE INDEX lessons_by_version ON lessons (version);
CREATE INDEX lessons_by_namespace ON lessons (namespace, status);
CREATE INDEX evidence_by_lesson ON evidence (lesson_id);
CREATE INDEX lesson_texts_by_hash ON lesson_texts (text_hash);
CREATE INDEX reflections_by_time ON reflections (at);
CREATE INDEX reflected_by_reflection ON reflected (reflection_id);
CREATE INDEX due_by_task ON due (namespace, graph, task_key);
CREATE INDEX due_by_time ON due (judged_at);
CREATE INDEX jobs_by_namespace ON jobs (namespace, state);
CREATE INDEX jobs_by_state ON jobs (state, created_at);
CREATE INDEX job_episodes_by_job ON job_episodes (job_id);
COMMIT;
