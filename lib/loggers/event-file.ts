// TensorBoard's event files: TFRecords of Event messages. Facts of the two formats, written here because no maintained package
// writes them.
//
// TFRecord: uint64 length, uint32 masked crc32c of those 8 bytes, the bytes, uint32 masked crc32c of them; little-endian.
// Event (protobuf): 1 double wall_time, 2 int64 step, 3 string file_version, 5 Summary, 7 SessionLog { 1 status, START = 1 }.
// Summary: repeated 1 Value { 1 string tag, 2 float simple_value }.

interface Event {
  /** Seconds since 1970. */
  wallTime: number
  step?: number
  fileVersion?: string
  scalars?: Readonly<Record<string, number>>
  /** Makes TensorBoard drop what it has of this step and later ones, because a resumed run writes them again. */
  sessionStart?: boolean
}

export function encodeRecord(event: Event): Buffer {
  const data = encodeEvent(event)
  const header = Buffer.alloc(12)
  header.writeBigUInt64LE(BigInt(data.length))
  header.writeUInt32LE(maskedCrc(header.subarray(0, 8)), 8)
  const footer = Buffer.alloc(4)
  footer.writeUInt32LE(maskedCrc(data))
  return Buffer.concat([header, data, footer])
}

function encodeEvent({ wallTime, step, fileVersion, scalars, sessionStart }: Event): Buffer {
  const parts = [double(1, wallTime)]
  if (step !== undefined) parts.push(varintField(2, step))
  if (fileVersion !== undefined) parts.push(bytes(3, Buffer.from(fileVersion)))
  if (scalars) {
    const values = Object.entries(scalars).map(([tag, value]) =>
      bytes(1, Buffer.concat([bytes(1, Buffer.from(tag)), float(2, value)])),
    )
    parts.push(bytes(5, Buffer.concat(values)))
  }
  if (sessionStart) parts.push(bytes(7, varintField(1, 1)))
  return Buffer.concat(parts)
}

const wireType = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 }

function varint(value: number): Buffer {
  const out: number[] = []
  let rest = value
  while (rest >= 128) {
    out.push((rest % 128) + 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.from([...out, rest])
}

function key(field: number, type: number): Buffer {
  return varint(field * 8 + type)
}

function varintField(field: number, value: number): Buffer {
  return Buffer.concat([key(field, wireType.varint), varint(value)])
}

function bytes(field: number, value: Buffer): Buffer {
  return Buffer.concat([key(field, wireType.bytes), varint(value.length), value])
}

function double(field: number, value: number): Buffer {
  const data = Buffer.alloc(8)
  data.writeDoubleLE(value)
  return Buffer.concat([key(field, wireType.fixed64), data])
}

function float(field: number, value: number): Buffer {
  const data = Buffer.alloc(4)
  data.writeFloatLE(value)
  return Buffer.concat([key(field, wireType.fixed32), data])
}

// Table of Castagnoli's polynomial, bits reversed.
const crcTable = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? 0x82f63b78 : 0)
  return remainder
})

export function crc32c(data: Uint8Array): number {
  let crc = 0xffffffff
  for (const byte of data) crc = (crc >>> 8) ^ (crcTable[(crc ^ byte) & 0xff] as number)
  return (crc ^ 0xffffffff) >>> 0
}

/** The checksum rotated and shifted, as TFRecords define it, so that checksums of records that contain records stay useful. */
export function maskedCrc(data: Uint8Array): number {
  const crc = crc32c(data)
  return (((crc >>> 15) | (crc << 17)) + 0xa282ead8) >>> 0
}
