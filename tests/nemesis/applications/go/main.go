// An application in Go: foreign DRIVER; see this package.
package main

import (
	"bufio"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"sort"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	_ "github.com/jackc/pgx/v5/stdlib"
	"github.com/lib/pq"
)

const (
	pause  = 30 * time.Millisecond
	insert = "INSERT INTO writes (client, seq, part) VALUES ($1, $2, $3)"
	look   = "SELECT current_setting('TimeZone'), current_schema()::text," +
		" what || ' ' || $1::int FROM kept WHERE n = $2"
)

type given struct {
	Host, User, Password, Database string
	Port, First, Writers, Resting  int
}

type record map[string]any

// application is a driver with its pool; step says what it is at.
type application interface {
	alone(client, seq int, step *string) error
	together(client, seq int, step *string) error
	rest(count int) ([]record, error)
	close()
}

func (g given) address(more url.Values) string {
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(g.User, g.Password),
		Host:     fmt.Sprintf("%s:%d", g.Host, g.Port),
		Path:     g.Database,
		RawQuery: more.Encode(),
	}
	return address.String()
}

var settings = url.Values{"timezone": {"Asia/Kathmandu"}, "search_path": {"apart, public"}}

// -- pgx with its own pool ------------------------------------------------------------------------

type onPgx struct{ pool, resting *pgxpool.Pool }

func newPgx(g given) (application, error) {
	pool, err := pgxpool.New(context.Background(), g.address(nil))
	if err != nil {
		return nil, err
	}
	resting, err := pgxpool.New(context.Background(), g.address(settings))
	return &onPgx{pool, resting}, err
}

func (a *onPgx) alone(client, seq int, step *string) error {
	*step = "statement"
	_, err := a.pool.Exec(context.Background(), insert, client, seq, 0)
	return err
}

func (a *onPgx) together(client, seq int, step *string) error {
	ctx := context.Background()
	*step = "begin"
	return pgx.BeginFunc(ctx, a.pool, func(tx pgx.Tx) error {
		*step = "statement"
		for part := range 2 {
			if _, err := tx.Exec(ctx, insert, client, seq, part); err != nil {
				return err
			}
		}
		*step = "commit"
		return nil
	})
}

func (a *onPgx) rest(count int) ([]record, error) {
	ctx := context.Background()
	var found []record
	for range count {
		one, err := a.resting.Acquire(ctx)
		if err != nil {
			return nil, err
		}
		defer one.Release()
		var zone, place, kept string
		if err := one.QueryRow(ctx, look, 7, 1).Scan(&zone, &place, &kept); err != nil {
			return nil, err
		}
		id := fmt.Sprint(one.Conn().PgConn().PID())
		found = append(found, record{"id": id, "zone": zone, "place": place, "kept": kept})
	}
	return found, nil
}

func (a *onPgx) close() {
	a.pool.Close()
	a.resting.Close()
}

// -- database/sql -----------------------------------------------------------------------------

type onSQL struct {
	pool, resting *sql.DB
	looks         *sql.Stmt
}

func newSQL(driver string, more url.Values) func(given) (application, error) {
	return func(g given) (application, error) {
		both := url.Values{}
		for _, values := range []url.Values{more, settings} {
			for name, value := range values {
				both[name] = value
			}
		}
		pool, err := sql.Open(driver, g.address(more))
		if err != nil {
			return nil, err
		}
		resting, err := sql.Open(driver, g.address(both))
		if err != nil {
			return nil, err
		}
		looks, err := resting.Prepare(look)
		return &onSQL{pool, resting, looks}, err
	}
}

func (a *onSQL) alone(client, seq int, step *string) error {
	*step = "statement"
	_, err := a.pool.Exec(insert, client, seq, 0)
	return err
}

func (a *onSQL) together(client, seq int, step *string) error {
	*step = "begin"
	tx, err := a.pool.Begin()
	if err != nil {
		return err
	}
	defer tx.Rollback()
	*step = "statement"
	for part := range 2 {
		if _, err := tx.Exec(insert, client, seq, part); err != nil {
			return err
		}
	}
	*step = "commit"
	return tx.Commit()
}

// rest has two connections, which is how many the pool keeps.
func (a *onSQL) rest(int) ([]record, error) {
	ctx := context.Background()
	var found []record
	for range 2 {
		tx, err := a.resting.BeginTx(ctx, nil)
		if err != nil {
			return nil, err
		}
		defer tx.Rollback()
		var zone, place, kept string
		if err := tx.Stmt(a.looks).QueryRow(7, 1).Scan(&zone, &place, &kept); err != nil {
			return nil, err
		}
		found = append(found, record{"zone": zone, "place": place, "kept": kept})
	}
	opened := a.resting.Stats().MaxIdleClosed
	return append(found, record{"opened": opened}), nil
}

func (a *onSQL) close() {
	a.pool.Close()
	a.resting.Close()
}

// -- all of them ----------------------------------------------------------------------------------

var drivers = map[string]func(given) (application, error){
	"pgx":     newPgx,
	"pgx-sql": newSQL("pgx", nil),
	"lib/pq":  newSQL("postgres", url.Values{"sslmode": {"disable"}}),
}

var writing sync.Mutex

func say(what record) {
	line, err := json.Marshal(what)
	if err != nil {
		panic(err)
	}
	writing.Lock()
	defer writing.Unlock()
	fmt.Println(string(line))
}

func told(err error) (name, code string) {
	var server *pgconn.PgError
	var other *pq.Error
	switch {
	case errors.As(err, &server):
		code = server.Code
	case errors.As(err, &other):
		code = string(other.Code)
	}
	name = fmt.Sprintf("%T", err)
	return name, code
}

func write(app application, kind string, client int, ending *atomic.Bool) {
	turn := app.alone
	if kind == "transaction" {
		turn = app.together
	}
	for seq := 0; !ending.Load(); seq++ {
		began, step := time.Now(), "connect"
		what := record{"client": client, "seq": seq, "kind": kind, "at": ""}
		if err := turn(client, seq, &step); err != nil {
			name, code := told(err)
			what["at"], what["class"], what["sqlstate"], what["message"] = step, name, code, err.Error()
		}
		what["took_s"] = time.Since(began).Seconds()
		say(what)
		time.Sleep(pause)
	}
}

func rest(app application, count int) []record {
	found, err := app.rest(count)
	if err != nil {
		return []record{{"error": err.Error()}}
	}
	sort.Slice(found, func(one, other int) bool {
		return fmt.Sprint(found[one]["id"]) < fmt.Sprint(found[other]["id"])
	})
	return found
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	lines.Scan()
	var g given
	if err := json.Unmarshal(lines.Bytes(), &g); err != nil {
		panic(err)
	}
	app, err := drivers[os.Args[1]](g)
	if err != nil {
		panic(err)
	}
	var found []record
	for range 7 {
		found = rest(app, g.Resting)
	}
	say(record{"rest": found})
	var ending atomic.Bool
	var lives sync.WaitGroup
	for number := range g.Writers {
		kind := []string{"autocommit", "transaction"}[number%2]
		lives.Go(func() { write(app, kind, g.First+number, &ending) })
	}
	for lines.Scan() && lines.Text() != "end" {
		say(record{"rest": rest(app, g.Resting)})
	}
	ending.Store(true)
	lives.Wait()
	say(record{"end": true})
	app.close()
}
