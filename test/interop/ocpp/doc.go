// Package ocpp runs other people's charge point software against the central system: mobilityhouse's ocpp for Python where it
// can be imported, and Debian's python3-websockets by hand where not.
package ocpp
