#!/usr/bin/env bash
# A second event of the same reason, with another text, counts as the first one again with client-go's recorder for events.k8s.io, and its text is lost.
#
# k8s.io/client-go v0.37.1: tools/events (the API events.k8s.io) and tools/record (the core API). Go 1.26. (kube-runtime 5.0.0 in Rust does as tools/events.)
#
# Such a recorder keeps an event for six minutes, by its object, type, reason, action and reporter. The text does not belong to that, though the comment on
# kube-runtime's key says it does. What comes meanwhile raises the count of the one that is kept and is thrown away: "no such host", then "wrong password",
# is shown as "no such host", twice. The old recorder compares the text too, and shows both. So a controller that moves to the new API tells its users
# the first cause of trouble for as long as a newer one comes every six minutes.
#
# Guess before: the text belongs to what makes two events the same, as in the old recorder, or the newest one replaces it.
# What follows: one reason or action for each cause, or something in `related` (its field path counts) that differs where the text does.
#
# Output seen: the table at the end of this file (what the API server has after three events, a moment apart).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir go
printf 'module finding\n\ngo 1.26\n\nrequire k8s.io/client-go v0.37.1\n' >go/go.mod
cat >go/main.go <<'GO'
package main

import (
	"context"
	"fmt"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	typed "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record"
)

var pod = &core.Pod{ObjectMeta: meta.ObjectMeta{Name: "one", Namespace: "default", UID: "1"}}

// Events are sent in the background.
func eachAfterTheOther(publish func(string)) {
	for _, note := range []string{"no such host", "wrong password", "disk full"} {
		publish(note)
		time.Sleep(2 * time.Second)
	}
}

func main() {
	client := fake.NewClientset()
	newer := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	newer.StartRecordingToSink(make(chan struct{}))
	recorder := newer.NewRecorder(scheme.Scheme, "finding")
	eachAfterTheOther(func(note string) { recorder.Eventf(pod, nil, core.EventTypeWarning, "Failed", "Connect", "%s", note) })
	list, err := client.EventsV1().Events("default").List(context.Background(), meta.ListOptions{})
	if err != nil {
		panic(err)
	}
	for _, event := range list.Items {
		count := int32(1)
		if event.Series != nil {
			count = event.Series.Count // written at once for the second one, and then every half an hour
		}
		fmt.Printf("%-14s %s %d\n", "tools/events", event.Note, count)
	}

	client = fake.NewClientset()
	older := record.NewBroadcaster()
	older.StartRecordingToSink(&typed.EventSinkImpl{Interface: client.CoreV1().Events("")})
	old := older.NewRecorder(scheme.Scheme, core.EventSource{Component: "finding"})
	eachAfterTheOther(func(note string) { old.Event(pod, core.EventTypeWarning, "Failed", note) })
	stored, err := client.CoreV1().Events("default").List(context.Background(), meta.ListOptions{})
	if err != nil {
		panic(err)
	}
	for _, event := range stored.Items {
		fmt.Printf("%-14s %s %d\n", "tools/record", event.Message, event.Count)
	}
}
GO
(cd go && go mod tidy >/dev/null 2>&1 && go build -o ../events .)
./events | tee seen
diff - seen <<'SEEN' || { echo "it is otherwise now" >&2; exit 1; }
tools/events   no such host 2
tools/record   no such host 1
tools/record   wrong password 1
tools/record   disk full 1
SEEN
