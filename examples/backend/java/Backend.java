// An example backend in Java: answers what users say in a channel, piece by piece and then as a whole.
//
//     mvn -q dependency:copy-dependencies
//     java -cp 'target/dependency/*' Backend.java
//
// ../README.md has the settings, docs/backends.md the contract.

import static java.nio.charset.StandardCharsets.UTF_8;

import com.fasterxml.jackson.core.JsonProcessingException;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.time.Duration;
import java.time.Instant;
import java.util.Base64;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.errors.WakeupException;
import org.apache.kafka.common.security.scram.ScramLoginModule;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Backend {
    static final String CHANNEL = setting("CHANNEL", "chat");
    static final String BROKERS = setting("KAFKA_BROKERS", "127.0.0.1:9092");
    static final String SIGNING_KEY = setting("SIGNING_KEY", "");
    static final ObjectMapper JSON = new ObjectMapper();
    static final Map<String, Object> FORM = Map.of("components", List.of(
            Map.of("type", "textfield", "key", "name", "label", "Your name", "input", true,
                    "validate", Map.of("required", true)),
            Map.of("type", "button", "key", "submit", "label", "Send", "action", "submit", "input", true)));

    /** The latest ids: Kafka may hold an event twice. */
    final Set<String> answered = Collections.newSetFromMap(new LinkedHashMap<>() {
        @Override
        protected boolean removeEldestEntry(Map.Entry<String, Boolean> eldest) {
            return size() > 10_000;
        }
    });
    final KafkaProducer<String, String> producer;

    Backend(KafkaProducer<String, String> producer) {
        this.producer = producer;
    }

    public static void main(String[] args) throws Exception {
        System.setProperty("org.slf4j.simpleLogger.defaultLogLevel", "warn");
        var consumer = new KafkaConsumer<>(kafka(Map.of("group.id", CHANNEL + "-java",
                "auto.offset.reset", "earliest", "enable.auto.commit", false)),
                new StringDeserializer(), new StringDeserializer());
        var main = Thread.currentThread();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            consumer.wakeup();
            try {
                main.join();
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
        }));
        // Idempotent by default. Closing leaves the group, so that the others need not wait for the session to end.
        try (consumer; var producer = new KafkaProducer<>(kafka(Map.of()),
                new StringSerializer(), new StringSerializer())) {
            var backend = new Backend(producer);
            consumer.subscribe(List.of(CHANNEL + ".inbound"));
            while (true) {
                for (var record : consumer.poll(Duration.ofSeconds(1))) {
                    backend.handle(record);
                }
                // Whoever comes after a crash answers again what was not committed, with the same ids.
                consumer.commitSync();
            }
        } catch (WakeupException stopped) {
            // SIGTERM.
        }
    }

    /** The settings of a client: its own, and what all have in common. */
    static Map<String, Object> kafka(Map<String, Object> own) {
        var settings = new HashMap<>(own);
        settings.put("bootstrap.servers", BROKERS);
        var user = setting("KAFKA_SASL_USERNAME", "");
        if (user.isEmpty()) return settings;
        settings.put("security.protocol", "SASL_SSL");
        settings.put("sasl.mechanism", "SCRAM-SHA-512");
        settings.put("sasl.jaas.config", "%s required username=%s password=%s;".formatted(
                ScramLoginModule.class.getName(), quoted(user), quoted(setting("KAFKA_SASL_PASSWORD", ""))));
        var authorities = setting("KAFKA_SSL_CA", "");
        if (!authorities.isEmpty()) {
            settings.put("ssl.truststore.type", "PEM");
            settings.put("ssl.truststore.location", authorities);
        }
        return settings;
    }

    static String quoted(String text) {
        return '"' + text.replace("\\", "\\\\").replace("\"", "\\\"") + '"';
    }

    void handle(ConsumerRecord<String, String> record) throws Exception {
        var id = header(record, "ce_id");
        if (id == null || record.key() == null || record.value() == null || answered.contains(id)) return;
        JsonNode data;
        try {
            data = JSON.readTree(record.value());
        } catch (JsonProcessingException notJson) {
            return;
        }
        // A user may send anything. What does not fit is ignored.
        var text = data.path("text").textValue();
        var name = data.path("submission").path("data").path("name").textValue();
        var deleted = data.path("id").textValue();
        var type = header(record, "ce_type");
        if ("message".equals(type) && "form".equals(text)) {
            send(record, "form", id + ".form",
                    Map.of("id", id + ".form", "role", "assistant", "text", "Who are you?", "form", FORM));
        } else if ("message".equals(type) && text != null) {
            answer(record, "You wrote ", text.isBlank() ? "0 " : text.strip().split("\\s+").length + " ", "words.");
        } else if ("form".equals(type) && name != null) {
            answer(record, "Thank you, ", name + ".");
        } else if ("delete".equals(type) && deleted != null) {
            // A backend that keeps messages deletes it there first, if it is one of this user.
            send(record, "delete", id + ".deletion", Map.of("id", deleted));
        }
        answered.add(id);
    }

    /** The ids derive from that of the answered event. A browser ignores what it has already. */
    void answer(ConsumerRecord<String, String> to, String... pieces) throws Exception {
        var id = header(to, "ce_id") + ".answer";
        for (int seq = 0; seq < pieces.length; seq++) {
            send(to, "delta", id + "." + seq, Map.of("id", id, "seq", seq, "text", pieces[seq]));
            Thread.sleep(30); // As long as a model may take.
        }
        send(to, "message", id, Map.of("id", id, "role", "assistant", "text", String.join("", pieces)));
    }

    /** Writes an event to the user of the record {@code to}. */
    void send(ConsumerRecord<String, String> to, String type, String id, Map<String, ?> data) throws Exception {
        var headers = new TreeMap<>(Map.of("ce_specversion", "1.0", "ce_id", id, "ce_type", type,
                "ce_source", "/example/java", "ce_time", Instant.now().toString(), "content-type", "application/json"));
        var value = JSON.writeValueAsString(data);
        if (!SIGNING_KEY.isEmpty()) headers.put("causeway-signature", sign(to.key(), headers, value));
        var trace = header(to, "traceparent");
        if (trace != null) headers.put("traceparent", trace);
        var record = new ProducerRecord<>(CHANNEL + ".outbound", to.key(), value);
        headers.forEach((name, text) -> record.headers().add(name, text.getBytes(UTF_8)));
        producer.send(record).get();
    }

    /** The signature for a channel that demands it, as docs/events.md describes it. The headers are sorted. */
    static String sign(String key, TreeMap<String, String> headers, String value) throws Exception {
        var bytes = new ByteArrayOutputStream();
        var signed = new DataOutputStream(bytes);
        part(signed, "causeway-record-v1");
        part(signed, CHANNEL);
        part(signed, key);
        signed.writeLong(headers.size());
        for (var header : headers.entrySet()) {
            part(signed, header.getKey());
            part(signed, header.getValue());
        }
        signed.write(1);
        part(signed, value);
        var ring = SIGNING_KEY.split(":", 2);
        var mac = Mac.getInstance("HmacSHA256");
        mac.init(new SecretKeySpec(Base64.getUrlDecoder().decode(ring[1]), "HmacSHA256"));
        return ring[0] + "." + Base64.getUrlEncoder().withoutPadding().encodeToString(mac.doFinal(bytes.toByteArray()));
    }

    static void part(DataOutputStream to, String text) throws Exception {
        var bytes = text.getBytes(UTF_8);
        to.writeLong(bytes.length);
        to.write(bytes);
    }

    static String header(ConsumerRecord<?, ?> record, String name) {
        var header = record.headers().lastHeader(name);
        return header == null || header.value() == null ? null : new String(header.value(), UTF_8);
    }

    static String setting(String name, String otherwise) {
        var value = System.getenv(name);
        return value == null || value.isEmpty() ? otherwise : value;
    }
}
