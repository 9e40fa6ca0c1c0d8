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
 WITHOUT ROWID,
 STRICT

;
INSERT INTO "due" VALUES('00000000000000000000000000000003','["acme","support"]','agent','same','2026-11-26T19:58:41.440200+00:00');
INSERT INTO "due" VALUES('00000000000000000000000000000004','["acme","support"]','agent',NULL,'2026-11-26T19:58:41.447387+00:00');
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
	fingerprint TEXT, 
	PRIMARY KEY (id), 
	CONSTRAINT episode_has_status CHECK (status <> '' AND arm <> '')
)
 STRICT

;
INSERT INTO "episodes" VALUES('00000000000000000000000000000001','["acme","support"]','agent','Task 1 ü','same','ok','treated',NULL,'2026-11-01T09:01:00.000000+00:00','2026-11-01T09:01:00.000000+00:00',NULL,'[]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-1"}','[]',NULL,NULL);
INSERT INTO "episodes" VALUES('00000000000000000000000000000002','["acme","support"]','agent','Task 2 ü','same','ok','treated',NULL,'2026-11-01T09:02:00.000000+00:00','2026-11-01T09:02:00.000000+00:00',NULL,'["L-000000000001"]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-2"}','[]',NULL,NULL);
INSERT INTO "episodes" VALUES('00000000000000000000000000000003','["acme","support"]','agent','Task 3 ü','same','ok','treated',NULL,'2026-11-01T09:03:00.000000+00:00','2026-11-01T09:03:00.000000+00:00',NULL,'["L-000000000001"]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-3"}','[]',NULL,NULL);
INSERT INTO "episodes" VALUES('00000000000000000000000000000004','["acme","support"]','agent','Task 4 ü',NULL,'interrupted','treated','t','2026-11-01T09:04:00.000000+00:00','2026-11-01T09:04:00.000000+00:00',NULL,'[]',NULL,'{"calls": 0, "tokens_in": 0, "tokens_out": 0}',NULL,'{"ticket": "T-4"}','["00000000-0000-0000-0000-00000000002c"]',NULL,NULL);
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
	fit REAL DEFAULT '0' NOT NULL, 
	unit TEXT DEFAULT '' NOT NULL, 
	policy TEXT DEFAULT '' NOT NULL, 
	dose INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (episode_id, lesson_id), 
	CONSTRAINT probability_in_range CHECK (probability >= 0 AND probability <= 1), 
	CONSTRAINT shown_or_not CHECK (shown IN (0, 1))
)
 STRICT

;
INSERT INTO "exposures" VALUES('00000000000000000000000000000001','L-000000000001',1,0,0.75,'treated',0,0.0,0,0.0,'thread-1','holdout=0.1 placebo=0 doses=2:1',2);
INSERT INTO "exposures" VALUES('00000000000000000000000000000002','L-000000000001',1,1,0.75,'treated',0,0.0,0,0.0,'thread-2','holdout=0.1 placebo=0 doses=2:1',2);
INSERT INTO "exposures" VALUES('00000000000000000000000000000003','L-000000000001',1,1,0.75,'treated',0,0.0,0,0.0,'thread-3','holdout=0.1 placebo=0 doses=2:1',2);
CREATE TABLE job_episodes (
	episode_id TEXT NOT NULL, 
	job_id TEXT NOT NULL, 
	PRIMARY KEY (episode_id)
)
 STRICT

;
INSERT INTO "job_episodes" VALUES('00000000000000000000000000000003','J-d6be9ab74c184d83');
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
INSERT INTO "jobs" VALUES('J-d6be9ab74c184d83','["acme","support"]','agent','key:same','','ready',0,NULL,NULL,NULL,0,NULL,NULL,'2026-11-26T19:58:41.471451+00:00','2026-11-26T19:58:41.471451+00:00');
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
INSERT INTO "lessons" VALUES('L-000000000001','["acme","support"]','candidate',2,2,'{"title": "", "when": "a flight moves", "when_not": "", "do": "check the fare class first", "why": "", "examples": [], "id": "L-000000000001", "namespace": ["acme", "support"], "revision": 2, "status": "candidate", "evidence": ["00000000-0000-0000-0000-000000000001"], "tasks": ["Task 1 \u00fc"], "origin": "human", "approved_by": null, "created_at": "2026-11-26T19:58:41.451337Z", "updated_at": "2026-11-26T19:58:41.451339Z"}');
CREATE TABLE meta (
	"key" TEXT NOT NULL, 
	value TEXT NOT NULL, 
	PRIMARY KEY ("key")
)
 STRICT

;
INSERT INTO "meta" VALUES('lessons_version','2');
INSERT INTO "meta" VALUES('steering_number','2');
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
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000001','verifier','','0f25a2259e0d0da816a6a7aaf3cb3315619f2900662773a2221c2d3c531d232d','2026-11-01T09:00:00.000000+00:00',0.25,NULL,NULL,0,'2026-11-26T19:58:41.432714+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000002','verifier','','84bc82481d2bc1831e05074dc4a7595e4cb720b55ac243048ad6ca02464985bd','2026-11-01T09:00:00.000000+00:00',0.5,NULL,NULL,0,'2026-11-26T19:58:41.438406+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000003','verifier','','49ca226ea8f1f78096fe6e72e5d326ceb499167fe205f99b944d27c112cde4fb','2026-11-01T09:00:00.000000+00:00',0.75,NULL,NULL,0,'2026-11-26T19:58:41.440200+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000001','zendesk','e-1','eb8dd64fcfd330535aa47242c07f7d45297a0f673decf4014bcd90220218d915','2026-11-01T09:00:00.000000+00:00',NULL,'It was late.',NULL,0,'2026-11-26T19:58:41.440773+00:00');
INSERT INTO "outcomes" VALUES('["acme","support"]','00000000000000000000000000000004','user','','e65cf4d0e86ad8643506a1917f2c95d01a3ff9172bfe45203c623cad54d68964','2026-11-01T09:00:00.000000+00:00',1.0,NULL,NULL,0,'2026-11-26T19:58:41.447387+00:00');
INSERT INTO "outcomes" VALUES('["default"]','00000000000000000000000000000063','early','','84bc82481d2bc1831e05074dc4a7595e4cb720b55ac243048ad6ca02464985bd','2026-11-01T09:00:00.000000+00:00',0.5,NULL,NULL,0,'2026-11-26T19:58:41.450855+00:00');
CREATE TABLE practice_runs (
	practice_id TEXT NOT NULL, 
	"key" TEXT NOT NULL, 
	epoch INTEGER NOT NULL, 
	arm TEXT NOT NULL, 
	family TEXT, 
	episode_id TEXT, 
	reward REAL, 
	failed INTEGER NOT NULL, 
	usage TEXT NOT NULL, 
	shown TEXT NOT NULL, 
	PRIMARY KEY (practice_id, "key")
)
 STRICT

;
INSERT INTO "practice_runs" VALUES('P-626b2f3517d2','0/0/0/treated',0,'treated','f','00000000000000000000000000000005',0.5,0,'{"calls": 1, "tokens_in": 0, "tokens_out": 0}','[]');
CREATE TABLE practices (
	namespace TEXT NOT NULL, 
	name TEXT NOT NULL, 
	id TEXT NOT NULL, 
	digest TEXT NOT NULL, 
	fence INTEGER NOT NULL, 
	finished INTEGER NOT NULL, 
	seconds REAL NOT NULL, 
	body TEXT NOT NULL, 
	started_at TEXT NOT NULL, 
	changed_at TEXT NOT NULL, 
	PRIMARY KEY (namespace, name), 
	CONSTRAINT practice_finished_or_not CHECK (finished IN (0, 1))
)
 STRICT

;
INSERT INTO "practices" VALUES('["acme","support"]','nightly','P-626b2f3517d2','d',1,0,1.5,'{}','2026-11-26T19:58:41.478096+00:00','2026-11-26T19:58:41.481614+00:00');
CREATE TABLE reflected (
	episode_id TEXT NOT NULL, 
	reflection_id TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (episode_id)
)
 STRICT

;
INSERT INTO "reflected" VALUES('00000000000000000000000000000001','R-1','2026-11-26T19:58:41.464410+00:00');
INSERT INTO "reflected" VALUES('00000000000000000000000000000002','R-1','2026-11-26T19:58:41.464836+00:00');
CREATE TABLE reflections (
	id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	at TEXT NOT NULL, 
	report TEXT NOT NULL, 
	replies TEXT, 
	version INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (id)
)
 STRICT

;
INSERT INTO "reflections" VALUES('R-1','["acme","support"]','2026-11-26T19:58:41.463438+00:00','{"id": "R-1", "groups": 1, "drafts": 0, "edits": [], "usage": {"calls": 2, "tokens_in": 0, "tokens_out": 0}, "errors": [], "seconds": 0.0, "outages": 0, "retry_after": null, "interrupted": 0}','{"said": []}',2);
CREATE TABLE reserved (
	episode_id TEXT NOT NULL, 
	practice_id TEXT NOT NULL, 
	lasting INTEGER NOT NULL, 
	PRIMARY KEY (episode_id), 
	CONSTRAINT lasting_or_not CHECK (lasting IN (0, 1))
)
 STRICT

;
INSERT INTO "reserved" VALUES('00000000000000000000000000000005','P-626b2f3517d2',0);
INSERT INTO "reserved" VALUES('00000000000000000000000000000006','P-626b2f3517d2',1);
CREATE TABLE review_lessons (
	review_id TEXT NOT NULL, 
	lesson_id TEXT NOT NULL, 
	PRIMARY KEY (review_id, lesson_id)
)
 STRICT

;
CREATE TABLE reviews (
	id TEXT NOT NULL, 
	namespace TEXT NOT NULL, 
	state TEXT NOT NULL, 
	at TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	body TEXT NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT review_state_known CHECK (state IN ('open', 'approved', 'rejected'))
)
 STRICT

;
CREATE TABLE revisions (
	lesson_id TEXT NOT NULL, 
	revision INTEGER NOT NULL, 
	kind TEXT NOT NULL, 
	actor TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	at TEXT NOT NULL, 
	body TEXT NOT NULL, 
	version INTEGER DEFAULT '0' NOT NULL, 
	PRIMARY KEY (lesson_id, revision)
)
 STRICT

;
INSERT INTO "revisions" VALUES('L-000000000001',1,'add','R-1','','2026-11-01T09:00:00.000000+00:00','{"title": "", "when": "a flight moves", "when_not": "", "do": "check the fare first", "why": "", "examples": [], "id": "L-000000000001", "namespace": ["acme", "support"], "revision": 1, "status": "candidate", "evidence": ["00000000-0000-0000-0000-000000000001"], "tasks": ["Task 1 \u00fc"], "origin": "human", "approved_by": null, "created_at": "2026-11-26T19:58:41.451337Z", "updated_at": "2026-11-26T19:58:41.451339Z"}',1);
INSERT INTO "revisions" VALUES('L-000000000001',2,'revise','dana','sharper','2026-11-01T09:00:00.000000+00:00','{"title": "", "when": "a flight moves", "when_not": "", "do": "check the fare class first", "why": "", "examples": [], "id": "L-000000000001", "namespace": ["acme", "support"], "revision": 2, "status": "candidate", "evidence": ["00000000-0000-0000-0000-000000000001"], "tasks": ["Task 1 \u00fc"], "origin": "human", "approved_by": null, "created_at": "2026-11-26T19:58:41.451337Z", "updated_at": "2026-11-26T19:58:41.451339Z"}',2);
CREATE TABLE revoked_sources (
	namespace TEXT NOT NULL, 
	source TEXT NOT NULL, 
	at TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	PRIMARY KEY (namespace, source)
)
 STRICT

;
INSERT INTO "revoked_sources" VALUES('["acme","support"]','rumour','2026-11-26T19:58:41.476663+00:00','unreliable');
CREATE TABLE runs (
	run_id TEXT NOT NULL, 
	episode_id TEXT NOT NULL, 
	PRIMARY KEY (run_id, episode_id)
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
INSERT INTO "schema_migrations" VALUES('0001_first_schema','2026-11-26T19:58:41.422098+00:00');
INSERT INTO "schema_migrations" VALUES('0002_resumed_runs','2026-11-26T19:58:41.422774+00:00');
INSERT INTO "schema_migrations" VALUES('0003_strict_tables_and_jobs','2026-11-26T19:58:41.422896+00:00');
INSERT INTO "schema_migrations" VALUES('0004_reviews_and_fingerprints','2026-11-26T19:58:41.422985+00:00');
INSERT INTO "schema_migrations" VALUES('0005_trials','2026-11-26T19:58:41.423070+00:00');
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
CREATE TABLE steering (
	number INTEGER NOT NULL, 
	namespace TEXT NOT NULL, 
	graph TEXT NOT NULL, 
	kind TEXT NOT NULL, 
	"by" TEXT NOT NULL, 
	reason TEXT NOT NULL, 
	body TEXT NOT NULL, 
	at TEXT NOT NULL, 
	PRIMARY KEY (number), 
	CONSTRAINT steering_kind_known CHECK (kind IN ('paused', 'resumed', 'doses'))
)
 STRICT

;
INSERT INTO "steering" VALUES(1,'["acme","support"]','agent','paused','dana','it hurts','{}','2026-11-26T19:58:41.472726+00:00');
INSERT INTO "steering" VALUES(2,'["acme","support"]','','doses','credit','','{"1": 0.5, "2": 0.5}','2026-11-26T19:58:41.475277+00:00');
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
INSERT INTO "trajectories" VALUES('00000000000000000000000000000001',X'785E458E4B0AC3300C05AF12B4EEA25EB65729C19844B426B26CFCA194E0BB577202D96964BFD1DBA1544C059ED36B87CDF32A1384B822C16D027601C742C1736A55881B91606CF5E01D96C8155967705CBE9827A3811A23D9C5110DFDDC658539C77C39C8496EF9D9A03F4E6F2BEEAD47457B46CD706DC8C57A9697C7C5524216775527573FDA00FA2C94B1343ADA69C4F4FE079B0448A2');
INSERT INTO "trajectories" VALUES('00000000000000000000000000000002',X'785E458EDD0A83300C465F4572BD8BCDBBED558648A9612BC6A4F48731A4EF6EA282773969BF936F855C30667875EF15E6C0934EB0C88404B70ED82DB82F0C02C75A94B812294A2D07AFE0850BB2CDE038FF3075BD058A088DDE11EDFAA1E90A53927439C869CEFFC7C57E9CDE9ADDC78EAAF68C3E76D78C9CC7C0FAF2BC584BE8E26EEAE8CAD71A401B9412E64A473B8BF4AD6D9B9A48A4');
INSERT INTO "trajectories" VALUES('00000000000000000000000000000003',X'785E458EDD0A83300C465F4572BD8B0DAFB6571922A586AD1893D21FC690BEBB890ADEE5A4FD4EBE1572C198E1D5BD5798034F3AC1221312DC3A60B7E0BE30081C6B51E24AA428B51CBC82172EC83683E3FCC3D4F5162822347A47B4EB87A62B4C49D2E520A739FF1F17FB717A6B761F3BAADA33FAD85D33721E03EBCBF3622DA18BBBA9A32B5F6B006D504A982B1DED2CD2B7B6019C3048A6');
INSERT INTO "trajectories" VALUES('00000000000000000000000000000004',X'785E458EDD0A83300C465F4572BD8B0DBCD95E6588941AB6624C4A7F1843FAEE262A789793F63BF956C805638657F75E610E3CE9048B4C4870EB80DD82FBC22070AC45892B91A2D472F00A5EB820DB0C8EF30F53D75BA088D0E81DD1AE1F9AAE30254997839CE6FC7F5CECC7E9ADD97DECA86ACFE86377CDC8790CAC2FCF8BB5842EEEA68EAE7CAD01B4412961AE74B4B348DFDA069CC648A8');
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
CREATE INDEX episodes_by_time ON episodes (namespace, graph, started_at);
CREATE INDEX episodes_by_age ON episodes (started_at);
CREATE INDEX episodes_by_thread ON episodes (thread_id);
CREATE INDEX episodes_by_status ON episodes (status, started_at);
CREATE INDEX episodes_by_task ON episodes (namespace, graph, task_key);
CREATE INDEX runs_by_episode ON runs (episode_id);
CREATE INDEX episodes_by_metadata ON episode_metadata ("key", value);
CREATE INDEX outcomes_by_episode ON outcomes (episode_id);
CREATE INDEX outcomes_by_source ON outcomes (namespace, source);
CREATE INDEX exposures_by_lesson ON exposures (lesson_id);
CREATE INDEX lessons_by_namespace ON lessons (namespace, status);
CREATE INDEX lessons_by_version ON lessons (version);
CREATE INDEX revisions_by_version ON revisions (version);
CREATE INDEX revisions_by_actor ON revisions (actor);
CREATE INDEX reviews_by_state ON reviews (namespace, state, at);
CREATE INDEX reviews_by_actor ON reviews (actor);
CREATE INDEX reviews_by_lesson ON review_lessons (lesson_id);
CREATE INDEX evidence_by_lesson ON evidence (lesson_id);
CREATE INDEX lesson_texts_by_hash ON lesson_texts (text_hash);
CREATE INDEX reflections_by_time ON reflections (at);
CREATE INDEX reflected_by_reflection ON reflected (reflection_id);
CREATE INDEX jobs_by_state ON jobs (state, created_at);
CREATE INDEX jobs_by_namespace ON jobs (namespace, state);
CREATE INDEX job_episodes_by_job ON job_episodes (job_id);
CREATE INDEX steering_by_graph ON steering (namespace, graph, number);
CREATE UNIQUE INDEX practices_by_id ON practices (id);
CREATE INDEX practice_runs_by_episode ON practice_runs (episode_id);
CREATE INDEX reserved_by_practice ON reserved (practice_id);
COMMIT;
