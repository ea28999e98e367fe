// An example backend in Go: answers what users say in a channel, piece by piece and then as a whole.
//
//	go build -o backend .
//	./backend
//
// ../README.md has the settings, docs/backends.md the contract.
package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

var (
	channel    = cmp.Or(os.Getenv("CHANNEL"), "chat")
	brokers    = cmp.Or(os.Getenv("KAFKA_BROKERS"), "127.0.0.1:9092")
	signingKey = os.Getenv("SIGNING_KEY")
	form       = json.RawMessage(`{"components": [
		{"type": "textfield", "key": "name", "label": "Your name", "input": true, "validate": {"required": true}},
		{"type": "button", "key": "submit", "label": "Send", "action": "submit", "input": true}
	]}`)
)

type backend struct {
	client *kgo.Client
	// The latest ids: Kafka may hold an event twice.
	answered map[string]bool
	order    []string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	secure, err := security()
	if err != nil {
		log.Fatal(err)
	}
	// Its producer is idempotent, and it hashes keys as Java's client does.
	client, err := kgo.NewClient(append(secure,
		kgo.SeedBrokers(strings.Split(brokers, ",")...),
		kgo.ConsumerGroup(channel+"-go"),
		kgo.ConsumeTopics(channel+".inbound"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
	)...)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close() // Leaves the group, so that the others need not wait for its session to end.
	b := &backend{client: client, answered: map[string]bool{}}
	for ctx.Err() == nil {
		fetches := client.PollFetches(ctx)
		fetches.EachError(func(topic string, partition int32, err error) {
			log.Printf("%s/%d: %v", topic, partition, err)
		})
		for _, record := range fetches.Records() {
			if err := b.handle(ctx, record); err != nil {
				log.Print(err) // Nothing is committed. The next start answers again, with the same ids.
				return
			}
			if err := client.CommitRecords(ctx, record); err != nil {
				log.Print(err)
				return
			}
		}
	}
}

// security is what a cluster asks for that has TLS and passwords.
func security() ([]kgo.Opt, error) {
	user := os.Getenv("KAFKA_SASL_USERNAME")
	if user == "" {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if file := os.Getenv("KAFKA_SSL_CA"); file != "" {
		authorities, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(authorities) {
			return nil, fmt.Errorf("%s has no certificate", file)
		}
	}
	auth := scram.Auth{User: user, Pass: os.Getenv("KAFKA_SASL_PASSWORD")}
	return []kgo.Opt{kgo.DialTLSConfig(config), kgo.SASL(auth.AsSha512Mechanism())}, nil
}

func (b *backend) handle(ctx context.Context, record *kgo.Record) error {
	id := header(record, "ce_id")
	if id == "" || len(record.Key) == 0 || b.answered[id] {
		return nil
	}
	// A user may send anything. What does not fit is ignored.
	var data struct {
		ID         *string
		Text       *string
		Submission struct{ Data struct{ Name *string } }
	}
	if json.Unmarshal(record.Value, &data) != nil {
		return nil
	}
	var err error
	switch kind := header(record, "ce_type"); {
	case kind == "message" && data.Text != nil && *data.Text == "form":
		id := id + ".form"
		err = b.send(ctx, record, "form", id, map[string]any{
			"id": id, "role": "assistant", "text": "Who are you?", "form": form,
		})
	case kind == "message" && data.Text != nil:
		err = b.answer(ctx, record, "You wrote ", fmt.Sprintf("%d ", len(strings.Fields(*data.Text))), "words.")
	case kind == "form" && data.Submission.Data.Name != nil:
		err = b.answer(ctx, record, "Thank you, ", *data.Submission.Data.Name+".")
	case kind == "delete" && data.ID != nil:
		// A backend that keeps messages deletes it there first, if it is one of this user.
		err = b.send(ctx, record, "delete", id+".deletion", map[string]any{"id": *data.ID})
	}
	b.answered[id] = true
	if b.order = append(b.order, id); len(b.order) > 10_000 {
		delete(b.answered, b.order[0])
		b.order = b.order[1:]
	}
	return err
}

// The ids derive from that of the answered event. A browser ignores what it has already.
func (b *backend) answer(ctx context.Context, to *kgo.Record, pieces ...string) error {
	id := header(to, "ce_id") + ".answer"
	for seq, text := range pieces {
		data := map[string]any{"id": id, "seq": seq, "text": text}
		if err := b.send(ctx, to, "delta", fmt.Sprintf("%s.%d", id, seq), data); err != nil {
			return err
		}
		time.Sleep(30 * time.Millisecond) // As long as a model may take.
	}
	whole := map[string]any{"id": id, "role": "assistant", "text": strings.Join(pieces, "")}
	return b.send(ctx, to, "message", id, whole)
}

// send writes an event to the user of the record to.
func (b *backend) send(ctx context.Context, to *kgo.Record, kind, id string, data any) error {
	value, err := json.Marshal(data)
	if err != nil {
		return err
	}
	record := &kgo.Record{Topic: channel + ".outbound", Key: to.Key, Value: value}
	set := func(name, value string) {
		if value != "" {
			record.Headers = append(record.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
		}
	}
	set("ce_specversion", "1.0")
	set("ce_id", id)
	set("ce_type", kind)
	set("ce_source", "/example/go")
	set("ce_time", time.Now().UTC().Format(time.RFC3339Nano))
	set("content-type", "application/json")
	set("traceparent", header(to, "traceparent"))
	if signingKey != "" {
		signature, err := sign(signingKey, channel, record)
		if err != nil {
			return err
		}
		set("causeway-signature", signature)
	}
	return b.client.ProduceSync(ctx, record).FirstErr()
}

func header(record *kgo.Record, name string) string {
	for _, header := range record.Headers {
		if header.Key == name {
			return string(header.Value)
		}
	}
	return ""
}
