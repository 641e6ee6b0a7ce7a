// An application in Rust: foreign tokio-postgres; see this package.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};

use deadpool_postgres::{Config, Pool, Runtime};
use serde_json::{json, Value};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio_postgres::NoTls;

const PAUSE: Duration = Duration::from_millis(30);
const INSERT: &str = "INSERT INTO writes (client, seq, part) VALUES ($1, $2, $3)";
const LOOK: &str = "SELECT current_setting('TimeZone'), current_schema()::text, \
    what || ' ' || $1::int FROM kept WHERE n = $2";

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn pool(given: &Value, options: Option<&str>) -> Pool {
    let text = |name: &str| Some(given[name].as_str().unwrap().to_owned());
    let config = Config {
        host: text("host"),
        user: text("user"),
        password: text("password"),
        dbname: text("database"),
        port: Some(given["port"].as_u64().unwrap() as u16),
        options: options.map(str::to_owned),
        ..Config::default()
    };
    config.create_pool(Some(Runtime::Tokio1), NoTls).unwrap()
}

async fn alone(pool: &Pool, client: i32, seq: i32, at: &mut &str) -> Result<(), Failure> {
    let connection = pool.get().await?;
    *at = "statement";
    let insert = connection.prepare_cached(INSERT).await?;
    connection.execute(&insert, &[&client, &seq, &0]).await?;
    Ok(())
}

async fn together(pool: &Pool, client: i32, seq: i32, at: &mut &str) -> Result<(), Failure> {
    let mut connection = pool.get().await?;
    *at = "begin";
    let transaction = connection.transaction().await?;
    *at = "statement";
    for part in 0..2 {
        let insert = transaction.prepare_cached(INSERT).await?;
        transaction.execute(&insert, &[&client, &seq, &part]).await?;
    }
    *at = "commit";
    transaction.commit().await?;
    Ok(())
}

async fn rest(pool: &Pool, count: u64) -> Result<Vec<Value>, Failure> {
    let mut all = Vec::new();
    for _ in 0..count {
        all.push(pool.get().await?);
    }
    let mut found = Vec::new();
    for one in &all {
        let look = one.prepare_cached(LOOK).await?;
        let row = one.query_one(&look, &[&7i32, &1i32]).await?;
        let said: (&str, &str, &str) = (row.get(0), row.get(1), row.get(2));
        found.push(json!({"zone": said.0, "place": said.1, "kept": said.2}));
    }
    found.push(json!({"connections": pool.status().size}));
    Ok(found)
}

async fn said_rest(pool: &Pool, count: u64) -> Value {
    match rest(pool, count).await {
        Ok(found) => json!({ "rest": found }),
        Err(error) => json!({"rest": [{"error": error.to_string()}]}),
    }
}

async fn write(pool: Pool, client: i32, whole: bool, ending: Arc<AtomicBool>) {
    let mut seq = 0;
    while !ending.load(Ordering::Relaxed) {
        let began = Instant::now();
        let mut at = "connect";
        let done = if whole {
            together(&pool, client, seq, &mut at).await
        } else {
            alone(&pool, client, seq, &mut at).await
        };
        let kind = if whole { "transaction" } else { "autocommit" };
        let mut record = json!({"client": client, "seq": seq, "kind": kind, "at": ""});
        if let Err(error) = done {
            let known = error.downcast_ref::<tokio_postgres::Error>();
            let code = known.and_then(|one| one.code()).map_or("", |code| code.code());
            record["at"] = json!(at);
            record["class"] = json!(if known.is_some() { "postgres::Error" } else { "other" });
            record["sqlstate"] = json!(code);
            record["message"] = json!(format!("{error:?}"));
        }
        record["took_s"] = json!(began.elapsed().as_secs_f64());
        println!("{record}");
        seq += 1;
        tokio::time::sleep(PAUSE).await;
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    let given: Value = serde_json::from_str(&first).unwrap();
    let count = given["resting"].as_u64().unwrap();
    let resting = pool(&given, Some("-c TimeZone=Asia/Kathmandu -c search_path=apart,public"));
    let mut found = Value::Null;
    for _ in 0..7 {
        found = said_rest(&resting, count).await;
    }
    println!("{found}");
    let ending = Arc::new(AtomicBool::new(false));
    let writing = pool(&given, None);
    let lives: Vec<_> = (0..given["writers"].as_i64().unwrap())
        .map(|number| {
            let client = (given["first"].as_i64().unwrap() + number) as i32;
            tokio::spawn(write(writing.clone(), client, number % 2 == 1, ending.clone()))
        })
        .collect();
    while let Some(line) = lines.next_line().await.unwrap() {
        if line == "end" {
            break;
        }
        println!("{}", said_rest(&resting, count).await);
    }
    ending.store(true, Ordering::Relaxed);
    for life in lives {
        life.await.unwrap();
    }
    println!("{}", json!({"end": true}));
    std::process::exit(0); // the reader of standard input would wait for a line
}
