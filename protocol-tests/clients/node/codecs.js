'use strict'
// kafkajs has gzip; the other codecs are plugged in, as its documentation tells.

const { CompressionCodecs, CompressionTypes } = require('kafkajs')
const lz4 = require('lz4-napi')
const snappy = require('kafkajs-snappy')
const zstd = require('@bokuweb/zstd-wasm')

const zstdReady = zstd.init()

CompressionCodecs[CompressionTypes.Snappy] = snappy // raw, without xerial's frame
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: encoder => lz4.compressFrame(encoder.buffer),
  decompress: buffer => lz4.decompressFrame(buffer),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => {
    await zstdReady
    return Buffer.from(zstd.compress(encoder.buffer, 3))
  },
  decompress: async buffer => {
    await zstdReady
    return Buffer.from(zstd.decompress(buffer))
  },
})

module.exports = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
}
