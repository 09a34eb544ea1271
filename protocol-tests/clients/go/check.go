package main

import (
	"fmt"
	"reflect"
	"time"
)

// How long anything may take, on a machine that is busy with other tests.
const patience = 120 * time.Second

// notApplicable ends a scenario that the client cannot express, and says why.
type notApplicable string

func (reason notApplicable) Error() string { return string(reason) }

// Expectations panic: `report` makes the sentence the scenario's result.

func fail(format string, args ...any) {
	panic(fmt.Sprintf(format, args...))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func must[T any](value T, err error) T {
	check(err)
	return value
}

// Nil and empty slices differ.
func equal[T any](got, wanted T, what string) {
	if !reflect.DeepEqual(got, wanted) {
		fail("%s: got %s, wanted %s", what, shorten(got), shorten(wanted))
	}
}

func shorten(value any) string {
	text := fmt.Sprint(value)
	if bytes, ok := value.([]byte); ok {
		text = hexadecimal(bytes)
	}
	if len(text) > 300 {
		return text[:300] + "…"
	}
	return text
}

func waitUntil(what string, condition func() bool) {
	for deadline := time.Now().Add(patience); !condition(); {
		if time.Now().After(deadline) {
			fail("still not: %s", what)
		}
		time.Sleep(20 * time.Millisecond) // between two looks at the condition
	}
}
