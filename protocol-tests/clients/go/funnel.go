package main

import (
	"fmt"
	"os"
	"sync"
	"time"
)

// funnel brings what several partitions deliver in the background to one reader.
type funnel struct {
	arrived chan arrival
	closed  chan struct{}
	sources sync.WaitGroup
}

type arrival struct {
	record record
	err    error
}

func newFunnel() *funnel {
	return &funnel{arrived: make(chan arrival), closed: make(chan struct{})}
}

// put is false when nobody reads any more.
func (f *funnel) put(a arrival) bool {
	select {
	case f.arrived <- a:
		return true
	case <-f.closed:
		return false
	}
}

// whileOpen calls `look` again and again in the background, for partitions that come later.
func (f *funnel) whileOpen(look func() error) {
	f.sources.Go(func() {
		for {
			select {
			case <-f.closed:
				return
			case <-time.After(100 * time.Millisecond): // between two looks
			}
			if err := look(); err != nil {
				fmt.Fprintf(os.Stderr, "looking for partitions: %v\n", err)
			}
		}
	})
}

func (f *funnel) read(count int) ([]record, error) {
	var records []record
	timeout := time.After(patience)
	for len(records) < count {
		select {
		case a := <-f.arrived:
			if a.err != nil {
				return nil, a.err
			}
			records = append(records, a.record)
		case <-timeout:
			return nil, fmt.Errorf("only %d of %d records arrived", len(records), count)
		}
	}
	return records, nil
}
