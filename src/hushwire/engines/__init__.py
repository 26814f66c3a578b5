"""What moves packets between TUN and the wire. One contract in base.py, several engines."""
