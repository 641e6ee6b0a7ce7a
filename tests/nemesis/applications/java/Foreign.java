// An application in Java: java Foreign DRIVER; see this package.
//
// "pgjdbc": each thread keeps a connection, and opens another when isValid says that it is gone;
// "pgjdbc-autosave": the same with autosave=always; "hikari": HikariCP.

import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.zaxxer.hikari.HikariConfig;
import com.zaxxer.hikari.HikariDataSource;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.postgresql.PGConnection;

public final class Foreign {
    private static final long PAUSE_MS = 30;
    private static final String INSERT = "INSERT INTO writes (client, seq, part) VALUES (?, ?, ?)";
    private static final String LOOK = "SELECT current_setting('TimeZone'), current_schema(),"
        + " what || ' ' || ?::int FROM kept WHERE n = ?";
    private static final Gson GSON = new Gson();

    /** What an application is at. */
    private static final class Step {
        String at = "connect";
    }

    /** Where connections come from. */
    private interface Source {
        Connection get() throws SQLException;

        void giveBack(Connection connection) throws SQLException;

        void close() throws SQLException;
    }

    /** One connection for each thread, as long as it is good. */
    private static final class Own implements Source {
        private final String url;
        private final ThreadLocal<Connection> kept = new ThreadLocal<>();

        Own(String url) {
            this.url = url;
        }

        @Override
        public Connection get() throws SQLException {
            Connection connection = kept.get();
            if (connection == null || connection.isClosed()) {
                connection = DriverManager.getConnection(url);
                kept.set(connection);
            }
            return connection;
        }

        @Override
        public void giveBack(Connection connection) throws SQLException {
            connection.setAutoCommit(true);
        }

        @Override
        public void close() {}
    }

    private static final class Pooled implements Source {
        private final HikariDataSource source;

        Pooled(String url) {
            HikariConfig config = new HikariConfig();
            config.setJdbcUrl(url);
            source = new HikariDataSource(config);
        }

        @Override
        public Connection get() throws SQLException {
            return source.getConnection();
        }

        @Override
        public void giveBack(Connection connection) throws SQLException {
            connection.close();
        }

        @Override
        public void close() {
            source.close();
        }
    }

    private final Source source;
    private final Source resting;
    private final boolean isPooled;
    private final List<Connection> own = new ArrayList<>();
    private volatile boolean ending = false;

    private Foreign(String driver, JsonObject given) {
        String url = "jdbc:postgresql://" + given.get("host").getAsString() + ":"
            + given.get("port").getAsInt() + "/" + given.get("database").getAsString() + "?user="
            + given.get("user").getAsString() + "&password=" + given.get("password").getAsString();
        if (driver.endsWith("-autosave")) {
            url += "&autosave=always";
        }
        String apart = url + "&currentSchema=apart,public&options=-c%20TimeZone=Asia/Kathmandu";
        isPooled = driver.startsWith("hikari");
        source = isPooled ? new Pooled(url) : new Own(url);
        resting = isPooled ? new Pooled(apart) : new Own(apart);
    }

    private static void insert(Connection connection, int client, int seq, int part)
            throws SQLException {
        try (PreparedStatement statement = connection.prepareStatement(INSERT)) {
            statement.setInt(1, client);
            statement.setInt(2, seq);
            statement.setInt(3, part);
            statement.executeUpdate();
        }
    }

    private void alone(int client, int seq, Step step) throws SQLException {
        Connection connection = source.get();
        try {
            step.at = "statement";
            insert(connection, client, seq, 0);
        } finally {
            source.giveBack(connection);
        }
    }

    private void together(int client, int seq, Step step) throws SQLException {
        Connection connection = source.get();
        try {
            step.at = "begin";
            connection.setAutoCommit(false);
            try {
                step.at = "statement";
                insert(connection, client, seq, 0);
                insert(connection, client, seq, 1);
                step.at = "commit";
                connection.commit();
            } catch (SQLException error) {
                try {
                    connection.rollback();
                } catch (SQLException second) {
                    error.addSuppressed(second);
                }
                throw error;
            }
        } finally {
            source.giveBack(connection);
        }
    }

    private List<Map<String, Object>> rest(int wanted) throws SQLException {
        int count = isPooled ? 10 : wanted; // all that a pool has
        List<Connection> all = new ArrayList<>();
        List<Map<String, Object>> found = new ArrayList<>();
        try {
            for (int number = 0; number < count; number++) {
                all.add(isPooled ? resting.get() : own(number));
            }
            for (Connection one : all) {
                try (PreparedStatement statement = one.prepareStatement(LOOK)) {
                    statement.setInt(1, 7);
                    statement.setInt(2, 1);
                    ResultSet rows = statement.executeQuery();
                    rows.next();
                    Map<String, Object> record = new LinkedHashMap<>();
                    record.put("id", one.unwrap(PGConnection.class).getBackendPID() + "");
                    record.put("zone", rows.getString(1));
                    record.put("place", rows.getString(2));
                    record.put("kept", rows.getString(3));
                    found.add(record);
                }
            }
        } finally {
            if (isPooled) {
                for (Connection one : all) {
                    one.close();
                }
            }
        }
        found.sort(Comparator.comparing(one -> (String) one.get("id")));
        return found;
    }

    private Connection own(int number) throws SQLException {
        if (own.size() <= number) {
            own.add(DriverManager.getConnection(((Own) resting).url));
        }
        return own.get(number);
    }

    private static synchronized void say(Map<String, Object> record) {
        System.out.println(GSON.toJson(record));
        System.out.flush();
    }

    private void write(String kind, int client) {
        for (int seq = 0; !ending; seq++) {
            long began = System.nanoTime();
            Step step = new Step();
            Map<String, Object> record = new LinkedHashMap<>();
            record.put("client", client);
            record.put("seq", seq);
            record.put("kind", kind);
            record.put("at", "");
            try {
                if (kind.equals("autocommit")) {
                    alone(client, seq, step);
                } else {
                    together(client, seq, step);
                }
            } catch (Exception error) {
                String name = error.getClass().getSimpleName();
                for (Throwable second : error.getSuppressed()) {
                    name += " (" + second.getMessage() + ")";
                }
                record.put("at", step.at);
                record.put("class", name);
                String code = error instanceof SQLException of ? of.getSQLState() : null;
                record.put("sqlstate", code == null ? "" : code);
                record.put("message", String.valueOf(error.getMessage()));
            }
            record.put("took_s", (System.nanoTime() - began) / 1e9);
            say(record);
            try {
                Thread.sleep(PAUSE_MS);
            } catch (InterruptedException interrupted) {
                return;
            }
        }
    }

    private void sayRest(int count, int times) {
        List<Map<String, Object>> found = null;
        try {
            for (int turn = 0; turn < times; turn++) {
                found = rest(count);
            }
        } catch (SQLException error) {
            found = List.of(Map.of("error", error.getSQLState() + ": " + error.getMessage()));
        }
        say(new LinkedHashMap<>(Map.of("rest", found)));
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
        JsonObject given = JsonParser.parseString(lines.readLine()).getAsJsonObject();
        Foreign application = new Foreign(arguments[0], given);
        int count = given.get("resting").getAsInt();
        application.sayRest(count, 7);
        List<Thread> lives = new ArrayList<>();
        for (int number = 0; number < given.get("writers").getAsInt(); number++) {
            String kind = number % 2 == 0 ? "autocommit" : "transaction";
            int client = given.get("first").getAsInt() + number;
            Thread life = new Thread(() -> application.write(kind, client));
            lives.add(life);
            life.start();
        }
        String line = lines.readLine();
        while (line != null && !line.equals("end")) {
            application.sayRest(count, 1);
            line = lines.readLine();
        }
        application.ending = true;
        for (Thread life : lives) {
            life.join();
        }
        say(new LinkedHashMap<>(Map.of("end", true)));
        application.source.close();
        application.resting.close();
    }
}
