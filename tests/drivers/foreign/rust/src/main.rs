// Carries out scenes with tokio-postgres: foreign tokio-postgres < script

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, FixedOffset, NaiveDate, NaiveDateTime, Utc};
use serde_json::{json, Map, Value};
use tokio::sync::mpsc;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Row, Statement};

type Argument = Box<dyn ToSql + Sync + Send>;

struct Session {
    client: Client,
    // As applications and their pools do: a text is prepared once in a session.
    statements: HashMap<String, Statement>,
    heard: mpsc::UnboundedReceiver<String>,
}

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

/// What a program in Rust has for a kind.
fn natural(pair: &Value) -> Argument {
    let value = &pair[1];
    let said = value.as_str().unwrap_or_default();
    match pair[0].as_str().unwrap() {
        "bool" => Box::new(value.as_bool().unwrap()),
        "int4" => Box::new(value.as_i64().unwrap() as i32),
        "int8" => Box::new(value.as_i64().unwrap()),
        "float8" => Box::new(value.as_f64().unwrap()),
        "timestamp" => Box::new(said.parse::<NaiveDateTime>().unwrap()),
        "timestamptz" => Box::new(said.parse::<DateTime<FixedOffset>>().unwrap()),
        "date" => Box::new(said.parse::<NaiveDate>().unwrap()),
        "uuid" => Box::new(said.parse::<uuid::Uuid>().unwrap()),
        "json" => Box::new(serde_json::from_str::<Value>(said).unwrap()),
        "bytea" => {
            let pairs = (0..said.len()).step_by(2);
            let bytes = pairs.map(|at| u8::from_str_radix(&said[at..at + 2], 16).unwrap());
            Box::new(bytes.collect::<Vec<u8>>())
        }
        "int4s" => Box::new(serde_json::from_value::<Vec<i32>>(value.clone()).unwrap()),
        "texts" => Box::new(serde_json::from_value::<Vec<String>>(value.clone()).unwrap()),
        _ => Box::new(said.to_owned()),
    }
}

fn natural_all(given: &Value) -> Vec<Argument> {
    given.as_array().unwrap().iter().map(natural).collect()
}

fn references(given: &[Argument]) -> Vec<&(dyn ToSql + Sync)> {
    given.iter().map(|one| &**one as &(dyn ToSql + Sync)).collect()
}

fn shown(row: &Row, at: usize) -> Result<String, Error> {
    macro_rules! of {
        ($kind:ty) => {
            format!("{:?}", row.try_get::<_, Option<$kind>>(at)?)
        };
    }
    let column = row.columns()[at].type_();
    let value = match *column {
        Type::BOOL => of!(bool),
        Type::INT4 => of!(i32),
        Type::INT8 => of!(i64),
        Type::FLOAT8 => of!(f64),
        Type::TIMESTAMP => of!(NaiveDateTime),
        Type::TIMESTAMPTZ => of!(DateTime<Utc>),
        Type::DATE => of!(NaiveDate),
        Type::UUID => of!(uuid::Uuid),
        Type::JSONB => of!(Value),
        Type::BYTEA => of!(Vec<u8>),
        Type::INT4_ARRAY => of!(Vec<i32>),
        Type::TEXT_ARRAY => of!(Vec<String>),
        Type::TEXT | Type::NAME | Type::VARCHAR => of!(String),
        _ => String::new(), // no Rust type without another crate
    };
    Ok(format!("{column}:{value}"))
}

impl Session {
    async fn open(door: &Value) -> Result<Session, Error> {
        let mut config = Config::new();
        config.host(text(door, "host")).port(door["port"].as_u64().unwrap() as u16);
        config.user(text(door, "user")).password(text(door, "password"));
        config.dbname(text(door, "database"));
        let (client, mut connection) = config.connect(NoTls).await?;
        let (sender, heard) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let next = &mut |context: &mut std::task::Context<'_>| connection.poll_message(context);
            while let Some(Ok(message)) = std::future::poll_fn(&mut *next).await {
                if let AsyncMessage::Notification(notification) = message {
                    let _ = sender.send(notification.payload().to_owned());
                }
            }
        });
        Ok(Session { client, statements: HashMap::new(), heard })
    }

    async fn statement(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(known) = self.statements.get(sql) {
            return Ok(known.clone());
        }
        let made = self.client.prepare(sql).await?;
        self.statements.insert(sql.to_owned(), made.clone());
        Ok(made)
    }

    async fn query(&mut self, sql: &str, given: &Value) -> Result<Value, Error> {
        let statement = self.statement(sql).await?;
        let given = natural_all(given);
        let rows = self.client.query(&statement, &references(&given)).await;
        if rows.as_ref().is_err_and(is_about_the_statement) {
            self.statements.remove(sql); // the next time it is prepared anew
        }
        let names = statement.columns().iter().map(|column| column.name().to_owned());
        let columns: Vec<String> = names.collect();
        let mut found = Vec::new();
        for row in &rows? {
            let line: Result<Vec<_>, _> = (0..columns.len()).map(|at| shown(row, at)).collect();
            found.push(line?);
        }
        Ok(json!({"columns": columns, "rows": found}))
    }

    async fn batch(&mut self, items: &Value) -> Result<Value, Error> {
        let items = items.as_array().unwrap();
        let statement = self.statement(items[0][0].as_str().unwrap()).await?;
        let client = &self.client;
        // Polled together they are pipelined.
        let waiting = items.iter().map(|item| {
            let statement = &statement;
            async move {
                let given = natural_all(&item[1]);
                match client.execute(statement, &references(&given)).await {
                    Ok(count) => json!(count),
                    Err(error) => failure(&error)["error"].take(),
                }
            }
        });
        Ok(json!({"batch": futures_util::future::join_all(waiting).await}))
    }

    async fn copy_in(&mut self, table: &str, count: u64) -> Result<Value, Error> {
        let sql = format!("COPY {table} FROM STDIN");
        let sink = self.client.copy_in::<_, bytes::Bytes>(&sql).await?;
        let mut sink = std::pin::pin!(sink);
        for number in 0..count {
            let line = format!("{number}\tline {number}\n");
            futures_util::SinkExt::send(&mut sink, line.into()).await?;
        }
        Ok(json!({"ok": sink.finish().await?}))
    }

    async fn cursor(&mut self, sql: &str, size: i32) -> Result<Value, Error> {
        // A portal in the transaction that is open: within a savepoint, as the crate has it.
        let transaction = self.client.transaction().await?;
        let portal = transaction.bind(sql, &[]).await?;
        let (mut count, mut sum) = (0, 0i64);
        loop {
            let rows = transaction.query_portal(&portal, size).await?;
            for row in &rows {
                count += 1;
                sum += i64::from(row.try_get::<_, i32>(0)?);
            }
            if rows.len() < size as usize {
                break;
            }
        }
        transaction.commit().await?;
        Ok(json!({"count": count, "sum": sum}))
    }

    async fn in_time(&mut self, sql: &str, limit_ms: u64) -> Result<Value, Error> {
        let token = self.client.cancel_token();
        let query = self.client.query(sql, &[]);
        let mut query = std::pin::pin!(query);
        let rows = tokio::select! {
            rows = &mut query => rows,
            () = tokio::time::sleep(Duration::from_millis(limit_ms)) => {
                token.cancel_query(NoTls).await?;
                query.await
            }
        };
        Ok(json!({"ok": rows?.len()}))
    }

    async fn heard(&mut self, count: u64) -> Result<Value, Error> {
        let mut payloads = Vec::new();
        for _ in 0..count {
            payloads.push(self.heard.recv().await);
        }
        Ok(json!({"heard": payloads}))
    }

    async fn plain(&mut self, sql: &str) -> Result<Value, Error> {
        self.client.batch_execute(sql).await?;
        Ok(json!({}))
    }

    async fn carry_out(&mut self, step: &Value) -> Result<Value, Error> {
        let sql = text(step, "sql");
        let count = step["count"].as_u64().unwrap_or_default();
        match text(step, "op") {
            "query" => self.query(sql, &step["args"]).await,
            "plain" => self.plain(sql).await,
            "begin" => self.plain("BEGIN").await,
            "commit" => self.plain("COMMIT").await,
            "rollback" => self.plain("ROLLBACK").await,
            "batch" => self.batch(&step["items"]).await,
            "copy_in" => self.copy_in(text(step, "table"), count).await,
            "cursor" => self.cursor(sql, step["size"].as_i64().unwrap() as i32).await,
            "in_time" => self.in_time(sql, step["ms"].as_u64().unwrap()).await,
            "listen" => self.plain(&format!("LISTEN {}", text(step, "channel"))).await,
            "heard" => self.heard(count).await,
            _ => Ok(json!({"unsupported": true})),
        }
    }
}

/// What users prepare anew for: a plan that changed, a statement that is gone, other types.
fn is_about_the_statement(error: &Error) -> bool {
    match error.code() {
        Some(code) => ["0A000", "26000"].contains(&code.code()),
        None => true,
    }
}

fn failure(error: &Error) -> Value {
    let code = error.code().map_or("client", |code| code.code());
    json!({"error": code, "message": format!("{error:?}")})
}

async fn carry_out(steps: &Value, script: &Value) -> Vec<Value> {
    let mut sessions: HashMap<String, Session> = HashMap::new();
    let mut records = Vec::new();
    for step in steps.as_array().unwrap() {
        let who = text(step, "who").to_owned();
        if !sessions.contains_key(&who) {
            let door = if who == "beside" { "beside" } else { "through" };
            match Session::open(&script[door]).await {
                Ok(session) => sessions.insert(who.clone(), session),
                Err(error) => {
                    records.push(failure(&error));
                    continue;
                }
            };
        }
        let session = sessions.get_mut(&who).unwrap();
        let limit = Duration::from_secs(60);
        let mut record = match tokio::time::timeout(limit, session.carry_out(step)).await {
            Ok(Ok(record)) => record,
            Ok(Err(error)) => failure(&error),
            Err(_) => json!({"error": "no answer"}),
        };
        if session.client.is_closed() {
            record["closed"] = json!(true);
            sessions.remove(&who);
        }
        records.push(record);
    }
    records
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let script: Value = serde_json::from_reader(std::io::stdin()).unwrap();
    let mut reports = Map::new();
    for (name, steps) in script["scenes"].as_object().unwrap() {
        reports.insert(name.clone(), json!(carry_out(steps, &script).await));
    }
    println!("{}", Value::Object(reports));
}
