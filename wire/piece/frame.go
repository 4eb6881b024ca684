package piece

import (
	"encoding/binary"
	"io"
)

// frameType says what a frame carries.
type frameType uint8

const (
	frameHello    frameType = 1  // client: who speaks, of which lease
	frameWelcome  frameType = 2  // server: terms
	frameRequest  frameType = 3  // client: opens a stream
	frameData     frameType = 4  // bytes of a piece
	frameResponse frameType = 5  // server: result, or the error that ends a stream
	frameCancel   frameType = 6  // client: gives a stream up
	frameWindow   frameType = 7  // receiver: so many more bytes may come
	frameDemand   frameType = 8  // server: pay
	framePing     frameType = 9  // either
	framePong     frameType = 10 // answer to a ping
	frameGoAway   frameType = 11 // either: the reason for closing the connection
)

const (
	// Version of the protocol.
	Version = 1
	// headerSize is the length of a frame's header:
	//
	//	offset  size  field
	//	0       1     type
	//	1       3     length of the payload, little-endian, at most MaxPayload
	//	4       4     stream, little-endian; 0 for the connection itself
	headerSize = 8
	// DataSize is the number of bytes in a full data frame.
	DataSize = 64 << 10
	// MaxPayload is the longest payload of any frame.
	MaxPayload = DataSize + 512
	// InlineSize is the longest piece, or part of one, that travels inside a request or response.
	InlineSize = 32 << 10
)

// frameHeader is a parsed header.
type frameHeader struct {
	typ    frameType
	length int
	stream uint32
}

func appendHeader(dst []byte, typ frameType, stream uint32, length int) []byte {
	dst = append(dst, byte(typ), byte(length), byte(length>>8), byte(length>>16))
	return binary.LittleEndian.AppendUint32(dst, stream)
}

// parseHeader judges type, length and the use of stream 0.
func parseHeader(b [headerSize]byte) (frameHeader, error) {
	h := frameHeader{
		typ:    frameType(b[0]),
		length: int(b[1]) | int(b[2])<<8 | int(b[3])<<16,
		stream: binary.LittleEndian.Uint32(b[4:]),
	}
	if h.length > MaxPayload {
		return h, Errorf(ErrProtocol, "frame of %d bytes, at most %d", h.length, MaxPayload)
	}
	switch h.typ {
	case frameRequest, frameData, frameResponse, frameCancel, frameWindow:
		if h.stream == 0 {
			return h, Errorf(ErrProtocol, "frame type %d without a stream", h.typ)
		}
	case frameHello, frameWelcome, frameDemand, framePing, framePong, frameGoAway:
		if h.stream != 0 {
			return h, Errorf(ErrProtocol, "frame type %d on stream %d", h.typ, h.stream)
		}
	default:
		return h, Errorf(ErrProtocol, "unknown frame type %d", h.typ)
	}
	return h, nil
}

func readHeader(r io.Reader, scratch *[headerSize]byte) (frameHeader, error) {
	if _, err := io.ReadFull(r, scratch[:]); err != nil {
		return frameHeader{}, err
	}
	return parseHeader(*scratch)
}
