package endpoint

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/aip-go/aip/messages"
)

// commandIDs makes the ids of one command of a task.
type commandIDs struct {
	seed   contentHash // of the task; zero: ids are random
	number uint64
}

// nextCommand returns the ids of the next command of the task.
func (sess *session) nextCommand() commandIDs {
	return commandIDs{seed: sess.commandSeed, number: sess.commands.Add(1)}
}

// known reports whether the ids are the same when the task runs again.
func (ids commandIDs) known() bool { return ids.seed != contentHash{} }

// id returns the id of the command.
func (ids commandIDs) id() string { return ids.derive() }

// fill returns the actions, with ids where they have none and the ids are known.
func (ids commandIDs) fill(actions []messages.Command) []messages.Command {
	if !ids.known() {
		return actions
	}
	actions = slices.Clone(actions)
	for i := range actions {
		if actions[i].CallID == "" {
			actions[i].CallID = ids.derive(strconv.Itoa(i))
		}
	}
	return actions
}

// derive returns a UUID of version 8 in lower case.
func (ids commandIDs) derive(parts ...string) string {
	h := hashParts(append([]string{string(ids.seed[:]), strconv.FormatUint(ids.number, 10)}, parts...)...)
	h[6] = h[6]&0x0f | 0x80 // version
	h[8] = h[8]&0x3f | 0x80 // variant
	return fmt.Sprintf("%x-%x-%x-%x-%x", h[:4], h[4:6], h[6:8], h[8:10], h[10:16])
}
