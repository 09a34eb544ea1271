// The scenarios of ../README.md for clients written in Go. The first argument names the client.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/IBM/sarama"
)

const scenarioDeadline = 200 * time.Second

var clients = map[string]func(bootstrap string) client{
	"franz-go": newFranz,
	"sarama":   func(bootstrap string) client { return newSarama(bootstrap, sarama.MaxVersion) },
	// What old programs are set to: request versions from before Kafka 2.2.
	"sarama-2.1": func(bootstrap string) client { return newSarama(bootstrap, sarama.V2_1_0_0) },
	"kafka-go":   newKafkaGo,
}

func main() {
	if len(os.Args) < 2 || clients[os.Args[1]] == nil {
		usage("the first argument names the client")
	}
	flags := flag.NewFlagSet(os.Args[1], flag.ExitOnError)
	bootstrap := flags.String("bootstrap", "", "`HOST:PORT` of a broker")
	prefix := flags.String("prefix", "", "what the names of all topics begin with")
	topics := flags.String("read-topics", "", "only print what is in these `TOPIC,TOPIC,...`")
	members := flags.Bool("members", false, "host members of consumer groups")
	var chosen []string
	flags.Func("scenario", "`NAME` of a scenario to run; may be repeated", func(name string) error {
		if !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == name }) {
			return errors.New("no such scenario")
		}
		chosen = append(chosen, name)
		return nil
	})
	_ = flags.Parse(os.Args[2:]) // ExitOnError
	if *bootstrap == "" || *prefix == "" || flags.NArg() > 0 {
		usage("--bootstrap and --prefix are needed")
	}
	c := clients[os.Args[1]](*bootstrap)
	if *members {
		serveMembers(c)
		return
	}
	if *topics != "" {
		for topic := range strings.SplitSeq(*topics, ",") {
			report(topic, func() string { return readFormats(c, topic) })
		}
		return
	}
	for _, s := range scenarios {
		if slices.Contains(chosen, s.name) || chosen == nil && !strings.HasPrefix(s.name, "restart-") {
			report(s.name, func() string { return s.run(c, *prefix+"-"+s.name) })
		}
	}
}

func usage(complaint string) {
	fmt.Fprintf(os.Stderr, "%s\nusage: CLIENT --bootstrap HOST:PORT --prefix UNIQUE"+
		" [--scenario NAME]... [--read-topics TOPIC,TOPIC,...] [--members]\n", complaint)
	os.Exit(2)
}

// report prints the line of `name`. What misses the deadline may leave a goroutine behind.
func report(name string, run func() string) {
	lines := make(chan string, 1)
	go func() {
		defer func() {
			why := recover()
			if why == nil {
				return
			}
			var reason notApplicable
			if err, ok := why.(error); ok && errors.As(err, &reason) {
				lines <- "n/a\t" + string(reason)
				return
			}
			fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", name, why, debug.Stack())
			lines <- "fail\t" + strings.Join(strings.Fields(fmt.Sprint(why)), " ")
		}()
		detail := run()
		lines <- "ok\t" + detail
	}()
	select {
	case line := <-lines:
		fmt.Printf("%s\t%s\n", name, line)
	case <-time.After(scenarioDeadline):
		fmt.Printf("%s\tfail\tnot done within %v\n", name, scenarioDeadline)
	}
}
