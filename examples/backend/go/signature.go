package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// sign returns the value of the header causeway-signature, for a channel that demands it. The signing key is an id, a
// colon and the secret in base64url. docs/events.md describes the signature.
func sign(signingKey, channel string, record *kgo.Record) (string, error) {
	id, text, _ := strings.Cut(signingKey, ":")
	secret, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return "", err
	}
	signed := slices.DeleteFunc(slices.Clone(record.Headers), func(header kgo.RecordHeader) bool {
		return header.Key != "content-type" && !strings.HasPrefix(header.Key, "ce_")
	})
	slices.SortFunc(signed, func(a, b kgo.RecordHeader) int { return strings.Compare(a.Key, b.Key) })

	mac := hmac.New(sha256.New, secret)
	number := func(n int) { mac.Write(binary.BigEndian.AppendUint64(nil, uint64(n))) }
	part := func(bytes []byte) {
		number(len(bytes))
		mac.Write(bytes)
	}
	part([]byte("causeway-record-v1"))
	part([]byte(channel))
	part(record.Key)
	number(len(signed))
	for _, header := range signed {
		part([]byte(header.Key))
		part(header.Value)
	}
	if record.Value == nil {
		mac.Write([]byte{0})
	} else {
		mac.Write([]byte{1})
		part(record.Value)
	}
	return id + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil)), nil
}
