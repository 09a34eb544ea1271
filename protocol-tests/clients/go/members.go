package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Members of consumer groups in one process, as ../README.md tells under "Group members".

const (
	heartbeat   = 300 * time.Millisecond
	metadataAge = 500 * time.Millisecond
	// Of members that commit by themselves.
	commitInterval = 100 * time.Millisecond
	unknown        = "?"
)

// groupClient is what members and calls need of a library. A call that it cannot express returns
// notApplicable, one that the broker refuses a refusal.
type groupClient interface {
	openMember(options memberOptions, told teller) (member, error)
	listGroups() ([]string, error)
	describeGroup(group string) (describedGroup, error)
	groupOffsets(group string) (map[place]int64, error)
	alterOffset(group string, at place, offset int64) error
	deleteOffset(group string, at place) error
	deleteGroup(group string) error
	removeMember(group, instance string) error
}

// member reads in the background and tells what it owns and gets.
type member interface {
	commit() error
	// commitAsync tells "committed" later.
	commitAsync() error
	pause(at place) error
	resume(at place) error
	seek(at place, offset int64) error
	close() error
}

type place struct {
	topic     string
	partition int32
}

type describedGroup struct {
	state, protocol string
	owned           [][]place
}

type memberOptions struct {
	group, assignor, instance string
	topics                    []string
	pattern                   string
	latest                    bool // where to begin without a committed offset, else at the earliest
	session                   time.Duration
	commitsItself             bool // every commitInterval
}

// refusal is the broker's error; what scenarios do not ask for fails the call.
type refusal int16

func (code refusal) Error() string {
	switch code {
	case 68:
		return "NON_EMPTY_GROUP"
	case 69:
		return "GROUP_ID_NOT_FOUND"
	case 86:
		return "GROUP_SUBSCRIBED_TO_TOPIC"
	}
	return fmt.Sprintf("error %d", int16(code))
}

var telling sync.Mutex

// tell prints one line about `name`.
func tell(name string, words ...string) {
	telling.Lock()
	defer telling.Unlock()
	fmt.Println(strings.Join(append([]string{name}, words...), "\t"))
}

// teller prints the lines of one member, and knows what it owns.
type teller struct {
	name  string
	owned map[place]bool
	lock  *sync.Mutex
}

func (t teller) assigned(places []place) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, p := range places {
		t.owned[p] = true
	}
	var all []place
	for p := range t.owned {
		all = append(all, p)
	}
	tell(t.name, "assigned", spelled(all))
}

func (t teller) revoked(places []place) {
	t.lock.Lock()
	defer t.lock.Unlock()
	for _, p := range places {
		delete(t.owned, p)
	}
	tell(t.name, "revoked", spelled(places))
}

func (t teller) record(at place, offset int64, value []byte) {
	tell(t.name, "record", at.topic, fmt.Sprint(at.partition), fmt.Sprint(offset), string(value))
}

func (t teller) failed(err error) {
	tell(t.name, "failed", strings.Join(strings.Fields(err.Error()), " "))
}

func spelled(places []place) string {
	var texts []string
	for _, p := range places {
		texts = append(texts, fmt.Sprintf("%s:%d", p.topic, p.partition))
	}
	slices.Sort(texts)
	return strings.Join(texts, ",")
}

// places of assignments by topic, as all libraries give them.
func places[P int | int32](byTopic map[string][]P) []place {
	var all []place
	for topic, partitions := range byTopic {
		for _, partition := range partitions {
			all = append(all, place{topic, int32(partition)})
		}
	}
	return all
}

// serveMembers runs commands from standard input until it ends.
func serveMembers(c client) {
	g := c.(groupClient)
	members := map[string]member{}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		words := strings.Split(lines.Text(), "\t")
		command, name, arguments := words[0], words[1], words[2:]
		attempt(name, func() {
			if command == "open" {
				told := teller{name, map[place]bool{}, &sync.Mutex{}}
				members[name] = must(g.openMember(parseOptions(arguments), told))
			} else if m, ok := members[name]; ok {
				obey(m, name, command, arguments)
			} else {
				call(g, name, command, arguments)
			}
		})
	}
}

// attempt tells how it failed, if it does.
func attempt(name string, action func()) {
	defer func() {
		why := recover()
		if why == nil {
			return
		}
		err, _ := why.(error)
		var reason notApplicable
		var refused refusal
		switch {
		case errors.As(err, &reason):
			tell(name, "n/a", string(reason))
		case errors.As(err, &refused):
			tell(name, "refused", refused.Error())
		default:
			fmt.Fprintf(os.Stderr, "%s: %v\n%s\n", name, why, debug.Stack())
			teller{name: name}.failed(fmt.Errorf("%v", why))
		}
	}()
	action()
}

func parseOptions(arguments []string) memberOptions {
	options := memberOptions{group: arguments[0], assignor: "range", session: 6 * time.Second}
	for _, argument := range arguments[1:] {
		key, value, _ := strings.Cut(argument, "=")
		switch key {
		case "topics":
			options.topics = strings.Split(value, ",")
		case "pattern":
			options.pattern = value
		case "assignor":
			options.assignor = value
		case "instance":
			options.instance = value
		case "reset":
			options.latest = value == "latest"
		case "session":
			options.session = time.Duration(must(strconv.Atoi(value))) * time.Millisecond
		case "commits":
			options.commitsItself = value == "auto"
		default:
			fail("no such option: %s", key)
		}
	}
	return options
}

func obey(m member, name, command string, arguments []string) {
	switch command {
	case "close":
		check(m.close())
		tell(name, "closed")
	case "commit":
		if arguments[0] == "async" {
			check(m.commitAsync())
			return
		}
		check(m.commit())
		tell(name, "committed")
	case "pause":
		check(m.pause(parsePlace(arguments)))
		tell(name, "paused")
	case "resume":
		check(m.resume(parsePlace(arguments)))
		tell(name, "resumed")
	case "seek":
		check(m.seek(parsePlace(arguments), must(strconv.ParseInt(arguments[2], 10, 64))))
		tell(name, "sought")
	default:
		fail("no such command: %s", command)
	}
}

func parsePlace(arguments []string) place {
	return place{arguments[0], int32(must(strconv.Atoi(arguments[1])))}
}

func call(g groupClient, name, call string, arguments []string) {
	done := func(err error) {
		check(err)
		tell(name, "done")
	}
	switch call {
	case "list":
		tell(name, "groups", strings.Join(must(g.listGroups()), ","))
	case "describe":
		found := must(g.describeGroup(arguments[0]))
		words := []string{"described", found.state, found.protocol}
		for _, owned := range found.owned {
			words = append(words, spelled(owned))
		}
		tell(name, words...)
	case "offsets":
		var texts []string
		for at, offset := range must(g.groupOffsets(arguments[0])) {
			texts = append(texts, fmt.Sprintf("%s=%d", spelled([]place{at}), offset))
		}
		slices.Sort(texts)
		tell(name, "offsets", strings.Join(texts, ","))
	case "alter-offsets":
		offset := must(strconv.ParseInt(arguments[3], 10, 64))
		done(g.alterOffset(arguments[0], parsePlace(arguments[1:]), offset))
	case "delete-offsets":
		done(g.deleteOffset(arguments[0], parsePlace(arguments[1:])))
	case "delete-group":
		done(g.deleteGroup(arguments[0]))
	case "remove-member":
		done(g.removeMember(arguments[0], arguments[1]))
	default:
		fail("no such call: %s", call)
	}
}
