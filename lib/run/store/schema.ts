// The tables of run.sqlite (docs/runs.md describes them column by column). They can be rebuilt from metrics.jsonl and rollouts/,
// so a file with another schema version is not migrated but emptied and filled again.
import type { Database } from './database.js'

const schemaVersion = 2

const schema = `
CREATE TABLE source (name TEXT PRIMARY KEY, fingerprint TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE steps (step INTEGER PRIMARY KEY, metrics TEXT NOT NULL);

CREATE TABLE metrics (
  name TEXT NOT NULL, step INTEGER NOT NULL, value REAL NOT NULL,
  PRIMARY KEY (name, step)
) WITHOUT ROWID;

CREATE TABLE rollouts (
  id INTEGER PRIMARY KEY,
  step INTEGER NOT NULL, prompt INTEGER NOT NULL, rollout INTEGER NOT NULL,
  name TEXT NOT NULL, task TEXT NOT NULL, question TEXT NOT NULL, answer TEXT,
  correct INTEGER, well_formed INTEGER NOT NULL, ended TEXT NOT NULL,
  turns INTEGER NOT NULL, calls INTEGER NOT NULL, failed_calls INTEGER NOT NULL, cost REAL NOT NULL,
  tokens INTEGER NOT NULL, sampled_tokens INTEGER NOT NULL, mean_logprob REAL,
  answer_reward REAL, format_reward REAL, accuracy_reward REAL,
  accuracy_advantage REAL, efficiency_advantage REAL,
  ungraded TEXT
);
CREATE INDEX rollouts_group ON rollouts (step, prompt, rollout);
CREATE INDEX rollouts_task ON rollouts (task, id);
CREATE INDEX rollouts_correct ON rollouts (correct, id);
CREATE INDEX rollouts_calls ON rollouts (calls, id);

CREATE TABLE conversations (
  id INTEGER PRIMARY KEY REFERENCES rollouts (id) ON DELETE CASCADE,
  messages TEXT NOT NULL, tool_calls TEXT NOT NULL, metadata TEXT
);

CREATE TABLE sequences (
  id INTEGER NOT NULL REFERENCES rollouts (id) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  tokens BLOB NOT NULL, mask BLOB NOT NULL, logprobs BLOB NOT NULL, training_logprobs BLOB,
  PRIMARY KEY (id, sequence)
) WITHOUT ROWID;

CREATE VIRTUAL TABLE rollout_text USING fts5 (
  task, question, conversation, answer,
  content = '', contentless_delete = 1, tokenize = 'unicode61 remove_diacritics 2'
);
`

/** The name of the conversations table in version 1. */
const formerTable = 'trajectories'
const tables = [
  'rollout_text',
  'sequences',
  'conversations',
  formerTable,
  'rollouts',
  'metrics',
  'steps',
  'source',
]

/** Creates the tables where they do not exist. */
export function ensureSchema(database: Database): void {
  if (isThere(database)) return
  database.transaction(() => {
    // Another process may have created them meanwhile.
    if (isThere(database)) return
    for (const table of tables) database.exec(`DROP TABLE IF EXISTS ${table}`)
    database.exec(schema)
    database.exec(`PRAGMA user_version = ${schemaVersion}`)
  })
}

function isThere(database: Database): boolean {
  const version = database.row<{ user_version: number }>('PRAGMA user_version')?.user_version
  if (version !== schemaVersion) return false
  const found = database.rows<{ name: string }>("SELECT name FROM sqlite_schema WHERE type = 'table'")
  const names = new Set(found.map(({ name }) => name))
  return tables.every((table) => table === formerTable || names.has(table))
}
