package metabase

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// Tables: the first byte of every key. docs/format/metabase.md has the layouts.
const (
	tableBucket        = 'b' // bucket name -> Bucket
	tableUsage         = 'c' // bucket name -> Usage
	tableCurrent       = 'o' // bucket, key -> Object: newest version unless that is a delete marker (INV-META-1)
	tableVersion       = 'v' // bucket, key, ^version -> Object: all other versions and delete markers
	tableInline        = 'i' // object id -> sealed bytes of an inline extent
	tableUpload        = 'u' // bucket, key, upload id -> Upload
	tablePart          = 'p' // upload id, part number -> Part
	tableSegment       = 's' // segment id -> Segment
	tableDeviceSegment = 'd' // device, segment id -> nothing (INV-META-3)
	tableRisk          = 'r' // risk, segment id -> nothing
	tableGarbage       = 'g' // device, segment id, piece index -> Garbage
	tableValue         = 'x' // name -> bytes owned by the engine
	tableShared        = 'w' // name -> bytes that gateways share; never in snapshots
	tableState         = 'y' // the three rows named state* -> what they say; never in snapshots
	tableFeed          = 'z' // sequence number -> keys changed (INV-META-5); never in snapshots
)

// Rows of tableState.
var (
	stateSequence  = []byte{tableState, 's'} // sequence number of the last update, 8 bytes
	stateTrimmed   = []byte{tableState, 't'} // the feed up to and including this number is gone, 8 bytes
	stateRestoring = []byte{tableState, 'r'} // present while a snapshot is being restored
)

// Strings inside keys end with 0x00 0x01 and have 0x00 written as 0x00 0xFF,
// so that concatenated keys sort as their parts do, whatever bytes the parts
// hold.
func appendString(b []byte, s string) []byte {
	for i := 0; i < len(s); i++ {
		if s[i] == 0 {
			b = append(b, 0, 0xFF)
			continue
		}
		b = append(b, s[i])
	}
	return append(b, 0, 1)
}

// appendPrefix is appendString without the terminator: a bound before every
// string starting with s.
func appendPrefix(b []byte, s string) []byte {
	b = appendString(b, s)
	return b[:len(b)-2]
}

var errKey = errors.New("malformed key")

func takeString(b []byte) (s string, rest []byte, err error) {
	out := make([]byte, 0, len(b))
	for i := 0; i < len(b); i++ {
		if b[i] != 0 {
			out = append(out, b[i])
			continue
		}
		if i+1 == len(b) {
			return "", nil, errKey
		}
		switch b[i+1] {
		case 1:
			return string(out), b[i+2:], nil
		case 0xFF:
			out = append(out, 0)
			i++
		default:
			return "", nil, errKey
		}
	}
	return "", nil, errKey
}

// after returns the smallest key greater than every key that starts with
// prefix, or nil when there is none.
func after(prefix []byte) []byte {
	end := append([]byte(nil), prefix...)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i] != 0xFF {
			end[i]++
			return end[:i+1]
		}
	}
	return nil
}

// following returns the smallest key greater than key.
func following(key []byte) []byte {
	return append(append(make([]byte, 0, len(key)+1), key...), 0)
}

func bucketKey(name string) []byte { return appendString([]byte{tableBucket}, name) }

func usageKey(bucket string) []byte { return appendString([]byte{tableUsage}, bucket) }

func currentKey(bucket, key string) []byte {
	return appendString(appendString([]byte{tableCurrent}, bucket), key)
}

// versionsOf is the prefix of all rows of a key in tableVersion.
func versionsOf(bucket, key string) []byte {
	return appendString(appendString([]byte{tableVersion}, bucket), key)
}

// versionKey inverts the version, so that newer ones sort first.
func versionKey(bucket, key string, v VersionID) []byte {
	k := versionsOf(bucket, key)
	for _, c := range v {
		k = append(k, ^c)
	}
	return k
}

func inlineKey(objectID [16]byte) []byte { return append([]byte{tableInline}, objectID[:]...) }

func uploadKey(bucket, key, id string) []byte {
	return appendString(appendString(appendString([]byte{tableUpload}, bucket), key), id)
}

func partsOf(upload string) []byte { return appendString([]byte{tablePart}, upload) }

func partKey(upload string, number int32) []byte {
	return binary.BigEndian.AppendUint32(partsOf(upload), uint32(number))
}

func segmentKey(id SegmentID) []byte { return append([]byte{tableSegment}, id[:]...) }

func deviceSegmentKey(device uint64, id SegmentID) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{tableDeviceSegment}, device), id[:]...)
}

func riskKey(risk uint64, id SegmentID) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{tableRisk}, risk), id[:]...)
}

func garbageKey(device uint64, id SegmentID, index uint8) []byte {
	return append(append(binary.BigEndian.AppendUint64([]byte{tableGarbage}, device), id[:]...), index)
}

func valueKey(name string) []byte { return appendString([]byte{tableValue}, name) }

func sharedKey(name string) []byte { return appendString([]byte{tableShared}, name) }

func feedKey(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{tableFeed}, seq) }

// takeKey splits a key of tableCurrent or the common head of tableVersion and
// tableUpload into bucket, key and what follows.
func takeKey(k []byte) (bucket, key string, rest []byte, err error) {
	bucket, rest, err = takeString(k[1:])
	if err == nil {
		key, rest, err = takeString(rest)
	}
	if err != nil {
		return "", "", nil, &CorruptionError{Where: fmt.Sprintf("metabase key %x", k), Err: err}
	}
	return bucket, key, rest, nil
}
