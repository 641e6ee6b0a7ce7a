// Carries out scenes with pgjdbc: java Foreign pgjdbc < script

import com.google.gson.Gson;
import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.InputStreamReader;
import java.io.StringReader;
import java.nio.charset.StandardCharsets;
import java.sql.Array;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.time.OffsetDateTime;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HexFormat;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.TreeMap;
import java.util.UUID;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.postgresql.PGConnection;
import org.postgresql.PGNotification;
import org.postgresql.util.PGobject;

public final class Foreign {
    private static final Pattern MARK = Pattern.compile("\\$(\\d+)");

    private final Connection connection;
    private final List<String> heard = new ArrayList<>();

    private Foreign(JsonObject door) throws SQLException {
        Properties properties = new Properties();
        properties.setProperty("user", door.get("user").getAsString());
        properties.setProperty("password", door.get("password").getAsString());
        properties.setProperty("sslmode", door.get("tls").getAsBoolean() ? "require" : "disable");
        if (door.has("more")) { // in the driver's own words
            for (Map.Entry<String, JsonElement> one : door.getAsJsonObject("more").entrySet()) {
                properties.setProperty(one.getKey(), one.getValue().getAsString());
            }
        }
        String place = door.get("host").getAsString() + ":" + door.get("port").getAsInt();
        String name = door.get("database").getAsString();
        connection = DriverManager.getConnection("jdbc:postgresql://" + place + "/" + name, properties);
    }

    // -- arguments and results --------------------------------------------------------------------

    /** The text with question marks, and which argument each of them means. */
    private static String marked(String sql, List<Integer> order) {
        Matcher matcher = MARK.matcher(sql);
        StringBuilder made = new StringBuilder();
        while (matcher.find()) {
            order.add(Integer.parseInt(matcher.group(1)) - 1);
            matcher.appendReplacement(made, "?");
        }
        return matcher.appendTail(made).toString();
    }

    private void set(PreparedStatement statement, List<Integer> order, JsonArray given)
            throws SQLException {
        for (int number = 1; number <= order.size(); number++) {
            JsonArray pair = given.get(order.get(number - 1)).getAsJsonArray();
            set(statement, number, pair.get(0).getAsString(), pair.get(1));
        }
    }

    private void set(PreparedStatement statement, int number, String kind, JsonElement value)
            throws SQLException {
        switch (kind) {
            case "bool" -> statement.setBoolean(number, value.getAsBoolean());
            case "int4" -> statement.setInt(number, value.getAsInt());
            case "int8" -> statement.setLong(number, value.getAsLong());
            case "float8" -> statement.setDouble(number, value.getAsDouble());
            case "bytea" -> statement.setBytes(number, HexFormat.of().parseHex(value.getAsString()));
            case "date" -> statement.setDate(number, Date.valueOf(LocalDate.parse(value.getAsString())));
            case "timestamp" -> {
                LocalDateTime time = LocalDateTime.parse(value.getAsString());
                statement.setTimestamp(number, Timestamp.valueOf(time));
            }
            case "timestamptz" ->
                    statement.setObject(number, OffsetDateTime.parse(value.getAsString()));
            case "uuid" -> statement.setObject(number, UUID.fromString(value.getAsString()));
            case "json" -> {
                PGobject object = new PGobject();
                object.setType("jsonb");
                object.setValue(value.getAsString());
                statement.setObject(number, object);
            }
            case "int4s" -> {
                Object[] all = new Gson().fromJson(value, Integer[].class);
                statement.setArray(number, connection.createArrayOf("int4", all));
            }
            case "texts" -> {
                Object[] all = new Gson().fromJson(value, String[].class);
                statement.setArray(number, connection.createArrayOf("text", all));
            }
            default -> statement.setString(number, value.getAsString());
        }
    }

    private static String shown(Object value) throws SQLException {
        if (value == null) {
            return "null";
        }
        if (value instanceof byte[] bytes) {
            return "bytes:" + HexFormat.of().formatHex(bytes);
        }
        if (value instanceof Array array) {
            return "array:" + Arrays.deepToString((Object[]) array.getArray());
        }
        return value.getClass().getSimpleName() + ":" + value;
    }

    private static Map<String, Object> table(ResultSet result) throws SQLException {
        List<String> columns = new ArrayList<>();
        for (int number = 1; number <= result.getMetaData().getColumnCount(); number++) {
            columns.add(result.getMetaData().getColumnName(number));
        }
        List<List<String>> rows = new ArrayList<>();
        while (result.next()) {
            List<String> row = new ArrayList<>();
            for (int number = 1; number <= columns.size(); number++) {
                row.add(shown(result.getObject(number)));
            }
            rows.add(row);
        }
        return Map.of("columns", columns, "rows", rows);
    }

    // -- steps ------------------------------------------------------------------------------------

    private Map<String, Object> query(String sql, JsonArray given, int limitMs) throws SQLException {
        List<Integer> order = new ArrayList<>();
        // pgjdbc keeps the statement by its text: the fifth execution names it.
        try (PreparedStatement statement = connection.prepareStatement(marked(sql, order))) {
            if (limitMs > 0) {
                statement.setQueryTimeout(Math.max(1, limitMs / 1000));
            }
            set(statement, order, given);
            if (statement.execute()) {
                try (ResultSet result = statement.getResultSet()) {
                    return table(result);
                }
            }
            return Map.of("ok", statement.getUpdateCount());
        }
    }

    private Map<String, Object> plain(String sql) throws SQLException {
        try (Statement statement = connection.createStatement()) {
            statement.execute(sql);
        }
        return Map.of();
    }

    private Map<String, Object> batch(JsonArray items) throws SQLException {
        List<Integer> order = new ArrayList<>();
        String sql = marked(items.get(0).getAsJsonArray().get(0).getAsString(), order);
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            for (JsonElement item : items) {
                set(statement, order, item.getAsJsonArray().get(1).getAsJsonArray());
                statement.addBatch();
            }
            return Map.of("ok", Arrays.stream(statement.executeBatch()).sum());
        }
    }

    private Map<String, Object> copyIn(String table, int count) throws Exception {
        StringBuilder lines = new StringBuilder();
        for (int number = 0; number < count; number++) {
            lines.append(number).append("\tline ").append(number).append('\n');
        }
        PGConnection own = connection.unwrap(PGConnection.class);
        String sql = "COPY " + table + " FROM STDIN";
        return Map.of("ok", own.getCopyAPI().copyIn(sql, new StringReader(lines.toString())));
    }

    private Map<String, Object> heard(int count) throws SQLException {
        PGConnection own = connection.unwrap(PGConnection.class);
        while (heard.size() < count) {
            for (PGNotification notification : own.getNotifications(100)) {
                heard.add(notification.getParameter());
            }
        }
        return Map.of("heard", heard);
    }

    private Map<String, Object> cursor(String sql, int size) throws SQLException {
        long count = 0;
        long sum = 0;
        try (PreparedStatement statement = connection.prepareStatement(sql)) {
            statement.setFetchSize(size);
            try (ResultSet result = statement.executeQuery()) {
                while (result.next()) {
                    count += 1;
                    sum += result.getLong(1);
                }
            }
        }
        return Map.of("count", count, "sum", sum);
    }

    private Map<String, Object> begin() throws SQLException {
        connection.setAutoCommit(false);
        return Map.of();
    }

    private Map<String, Object> end(boolean committing) throws SQLException {
        try {
            if (committing) {
                connection.commit();
            } else {
                connection.rollback();
            }
        } finally {
            connection.setAutoCommit(true);
        }
        return Map.of();
    }

    private Map<String, Object> carryOut(JsonObject step) throws Exception {
        JsonElement sql = step.get("sql");
        return switch (step.get("op").getAsString()) {
            case "query" -> query(sql.getAsString(), step.get("args").getAsJsonArray(), 0);
            case "in_time" -> query(sql.getAsString(), new JsonArray(), step.get("ms").getAsInt());
            case "plain" -> plain(sql.getAsString());
            case "begin" -> begin();
            case "commit" -> end(true);
            case "rollback" -> end(false);
            case "batch" -> batch(step.get("items").getAsJsonArray());
            case "copy_in" ->
                    copyIn(step.get("table").getAsString(), step.get("count").getAsInt());
            case "listen" -> plain("LISTEN " + step.get("channel").getAsString());
            case "heard" -> heard(step.get("count").getAsInt());
            case "cursor" -> cursor(sql.getAsString(), step.get("size").getAsInt());
            default -> Map.of("unsupported", true);
        };
    }

    // -- the script -------------------------------------------------------------------------------

    private static Map<String, Object> failure(Exception error) {
        Map<String, Object> record = new HashMap<>();
        String code = error instanceof SQLException known ? known.getSQLState() : null;
        String said = String.valueOf(error.getMessage());
        record.put("error", code == null ? "client" : code);
        record.put("class", error.getClass().getSimpleName());
        record.put("message", said.substring(0, Math.min(300, said.length())));
        return record;
    }

    private static List<Map<String, Object>> carryOut(JsonArray steps, JsonObject script)
            throws SQLException {
        Map<String, Foreign> sessions = new HashMap<>();
        List<Map<String, Object>> records = new ArrayList<>();
        for (JsonElement element : steps) {
            JsonObject step = element.getAsJsonObject();
            String who = step.get("who").getAsString();
            try {
                if (!sessions.containsKey(who)) {
                    String door = who.equals("beside") ? "beside" : "through";
                    sessions.put(who, new Foreign(script.getAsJsonObject(door)));
                }
                records.add(sessions.get(who).carryOut(step));
            } catch (Exception error) {
                Map<String, Object> record = failure(error);
                if (sessions.containsKey(who) && sessions.get(who).connection.isClosed()) {
                    record.put("closed", true);
                    sessions.remove(who);
                }
                records.add(record);
            }
        }
        for (Foreign session : sessions.values()) {
            session.connection.close();
        }
        return records;
    }

    public static void main(String[] arguments) throws Exception {
        InputStreamReader input = new InputStreamReader(System.in, StandardCharsets.UTF_8);
        JsonObject script = JsonParser.parseReader(input).getAsJsonObject();
        Map<String, Object> reports = new TreeMap<>();
        for (Map.Entry<String, JsonElement> one : script.getAsJsonObject("scenes").entrySet()) {
            reports.put(one.getKey(), carryOut(one.getValue().getAsJsonArray(), script));
        }
        System.out.write(new Gson().toJson(reports).getBytes(StandardCharsets.UTF_8));
        System.out.flush();
    }
}
