"""ESP seal and open (RFC 4303): the readable reference that every engine is held against."""
