package main

import (
	"fmt"
	"strings"
)

func formats(codec string) func(c client, topic string) string {
	return func(c client, topic string) string {
		records := tableOfRecords()
		for i, r := range numbered(50) {
			r.key = fmt.Appendf(nil, "key %d", i)
			r.headers = []header{{"bulk", []byte("yes")}}
			records = append(records, r)
		}
		return sendAndReadBack(c, topic, producerOptions{codec: codec}, records)
	}
}

// readFormats prints every record of a topic that another client has written.
func readFormats(c client, topic string) string {
	for _, r := range readAll(c, topic, int(must(c.offset(topic, latest)))) {
		line := r.String()
		if c.abilities().noNulls {
			line = withUnknowns(line)
		}
		fmt.Printf("record\t%s\t%s\n", topic, line)
	}
	return ""
}

// withUnknowns puts `?` for a field that may be null or empty.
func withUnknowns(line string) string {
	fields := strings.Split(line, "\t")
	for i, field := range fields {
		isHeaders := i == len(fields)-1
		if isHeaders && (strings.Contains(field+",", "=,") || strings.Contains(field, "=-")) ||
			!isHeaders && (field == "" || field == "-") {
			fields[i] = "?"
		}
	}
	return strings.Join(fields, "\t")
}
