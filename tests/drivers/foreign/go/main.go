// Carries out scenes with pgx: foreign DRIVER < script
//
// "pgx" is pgx at its defaults, "pgx-describe" remembers descriptions instead of statements.
package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"os"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

type door struct {
	Host, User, Password, Database string
	Port                           int
	TLS                            bool
}

type argument struct {
	kind  string
	value any
}

type step struct {
	Op, Who, SQL, Table, Channel string
	Args                         []argument
	Items                        []item
	Count                        int
	Ms                           int
}

type item struct {
	sql  string
	args []argument
}

type record map[string]any

type script struct {
	Through, Beside door
	Scenes          map[string][]step
}

func (a *argument) UnmarshalJSON(data []byte) error {
	var pair [2]json.RawMessage
	if err := json.Unmarshal(data, &pair); err != nil {
		return err
	}
	if err := json.Unmarshal(pair[0], &a.kind); err != nil {
		return err
	}
	var err error
	a.value, err = natural(a.kind, pair[1])
	return err
}

func (i *item) UnmarshalJSON(data []byte) error {
	return json.Unmarshal(data, &[]any{&i.sql, &i.args})
}

// natural makes of a kind and its JSON what a program in Go has for it.
func natural(kind string, data json.RawMessage) (any, error) {
	var err error
	switch kind {
	case "int4":
		var value int32
		err = json.Unmarshal(data, &value)
		return value, err
	case "int8":
		var value int64
		err = json.Unmarshal(data, &value)
		return value, err
	case "float8":
		var value float64
		err = json.Unmarshal(data, &value)
		return value, err
	case "bool":
		var value bool
		err = json.Unmarshal(data, &value)
		return value, err
	case "int4s":
		var value []int32
		err = json.Unmarshal(data, &value)
		return value, err
	case "texts":
		var value []string
		err = json.Unmarshal(data, &value)
		return value, err
	}
	var text string
	if err = json.Unmarshal(data, &text); err != nil {
		return nil, err
	}
	switch kind {
	case "timestamp":
		return time.Parse("2006-01-02T15:04:05.999999", text)
	case "timestamptz":
		return time.Parse(time.RFC3339Nano, text)
	case "date":
		return time.Parse("2006-01-02", text)
	case "bytea":
		return hex.DecodeString(text)
	case "json":
		var value map[string]any
		err = json.Unmarshal([]byte(text), &value)
		return value, err
	}
	return text, nil
}

func values(arguments []argument) []any {
	given := make([]any, len(arguments))
	for number, one := range arguments {
		given[number] = one.value
	}
	return given
}

type session struct {
	door door
	conn *pgx.Conn
	tx   pgx.Tx
}

func (s *session) open(ctx context.Context) error {
	mode := "disable"
	if s.door.TLS {
		mode = "require"
	}
	address := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(s.door.User, s.door.Password),
		Host:     fmt.Sprintf("%s:%d", s.door.Host, s.door.Port),
		Path:     s.door.Database,
		RawQuery: "sslmode=" + mode,
	}
	config, err := pgx.ParseConfig(address.String())
	if err != nil {
		return err
	}
	if os.Args[1] == "pgx-describe" {
		config.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	}
	s.conn, err = pgx.ConnectConfig(ctx, config)
	return err
}

func (s *session) query(ctx context.Context, sql string, arguments []argument) (record, error) {
	rows, err := s.conn.Query(ctx, sql, values(arguments)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns := []string{}
	for _, field := range rows.FieldDescriptions() {
		columns = append(columns, field.Name)
	}
	found := [][]string{}
	for rows.Next() {
		row, err := rows.Values()
		if err != nil {
			return nil, err
		}
		line := []string{}
		for _, value := range row {
			line = append(line, fmt.Sprintf("%T:%v", value, value))
		}
		found = append(found, line)
	}
	return record{"columns": columns, "rows": found}, rows.Err()
}

func (s *session) batch(ctx context.Context, items []item) (record, error) {
	batch := &pgx.Batch{}
	for _, one := range items {
		batch.Queue(one.sql, values(one.args)...)
	}
	results := s.conn.SendBatch(ctx, batch)
	for range items {
		if _, err := results.Exec(); err != nil {
			_ = results.Close()
			return nil, err
		}
	}
	return record{}, results.Close()
}

func (s *session) copyIn(ctx context.Context, table string, count int) (record, error) {
	source := pgx.CopyFromSlice(count, func(number int) ([]any, error) {
		return []any{int32(number), fmt.Sprintf("line %d", number)}, nil
	})
	done, err := s.conn.CopyFrom(ctx, pgx.Identifier{table}, []string{"n", "s"}, source)
	return record{"ok": done}, err
}

func (s *session) heard(ctx context.Context, count int) (record, error) {
	payloads := []string{}
	for len(payloads) < count {
		notification, err := s.conn.WaitForNotification(ctx)
		if err != nil {
			return nil, err
		}
		payloads = append(payloads, notification.Payload)
	}
	return record{"heard": payloads}, nil
}

func (s *session) transaction(ctx context.Context, how string) (record, error) {
	var err error
	switch {
	case how == "begin":
		s.tx, err = s.conn.Begin(ctx)
	case s.tx == nil:
		err = errors.New("no transaction")
	case how == "commit":
		err = s.tx.Commit(ctx)
	default:
		err = s.tx.Rollback(ctx)
	}
	return record{}, err
}

func (s *session) do(ctx context.Context, step step) (record, error) {
	switch step.Op {
	case "query":
		return s.query(ctx, step.SQL, step.Args)
	case "plain":
		// Without arguments several statements may stand in one text, as in migrations.
		_, err := s.conn.PgConn().Exec(ctx, step.SQL).ReadAll()
		return record{}, err
	case "begin", "commit", "rollback":
		return s.transaction(ctx, step.Op)
	case "batch":
		return s.batch(ctx, step.Items)
	case "copy_in":
		return s.copyIn(ctx, step.Table, step.Count)
	case "listen":
		_, err := s.conn.Exec(ctx, "LISTEN "+step.Channel)
		return record{}, err
	case "heard":
		return s.heard(ctx, step.Count)
	case "in_time":
		limited, cancel := context.WithTimeout(ctx, time.Duration(step.Ms)*time.Millisecond)
		defer cancel()
		return s.query(limited, step.SQL, nil)
	}
	return record{"unsupported": true}, nil
}

func failure(err error) record {
	said := err.Error()
	if len(said) > 300 {
		said = said[:300]
	}
	var server *pgconn.PgError
	if errors.As(err, &server) {
		return record{"error": server.Code, "message": said}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return record{"error": "deadline", "message": said}
	}
	return record{"error": "client", "message": said}
}

func carryOut(ctx context.Context, steps []step, script script) []record {
	sessions := map[string]*session{}
	records := []record{}
	for _, step := range steps {
		records = append(records, func() record {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			if sessions[step.Who] == nil {
				opened := &session{door: script.Through}
				if step.Who == "beside" {
					opened.door = script.Beside
				}
				if err := opened.open(limited); err != nil {
					return failure(err)
				}
				sessions[step.Who] = opened
			}
			done, err := sessions[step.Who].do(limited, step)
			if err != nil {
				done = failure(err)
			}
			if sessions[step.Who].conn.IsClosed() {
				// pgx closes what a context interrupted; its pool opens another.
				done["closed"] = true
				delete(sessions, step.Who)
			}
			return done
		}())
	}
	for _, opened := range sessions {
		_ = opened.conn.Close(ctx)
	}
	return records
}

func main() {
	var given script
	if err := json.NewDecoder(os.Stdin).Decode(&given); err != nil {
		panic(err)
	}
	reports := map[string][]record{}
	for name, steps := range given.Scenes {
		reports[name] = carryOut(context.Background(), steps, given)
	}
	if err := json.NewEncoder(os.Stdout).Encode(reports); err != nil {
		panic(err)
	}
}
