// As much of LiteRT's Interpreter as generated apps call; see replay.cc.
package org.tensorflow.lite

import java.io.File
import java.nio.ByteBuffer

class Tensor(private val bytes: Int, private val scale: Float, private val zeroPoint: Int) {
    class QuantizationParams(val scale: Float, val zeroPoint: Int)

    fun numBytes() = bytes

    fun quantizationParams() = QuantizationParams(scale, zeroPoint)
}

/** A state of a file whose call takes some time steps: see replay.cc. */
private class State(line: List<String>) {
    val name = line[0]
    val tensor = Tensor(line[1].toInt(), 0f, 0)
    val first = line[2].toInt()
}

class Interpreter(file: ByteBuffer) : AutoCloseable {
    private val tensors = File("$path.sizes").readLines().map { it.split(" ") }
        .map { Tensor(it[0].toInt(), it[1].toFloat(), it[2].toInt()) }

    init {
        require(file.isDirect) { "The real one takes direct buffers alone." }
    }

    fun getInputTensor(index: Int) = tensors[index]

    fun getOutputTensor(index: Int) = tensors[1 + index]

    fun resizeInput(index: Int, size: IntArray) = require(index == 0 && size[0] == 1)

    fun allocateTensors() = Unit

    fun run(input: Any, output: Any) {
        input as ByteBuffer
        require(input.remaining() == tensors[0].numBytes()) { "The input has ${input.remaining()} bytes." }
        val given = ByteArray(input.remaining())
        input.get(given)
        File("$path.in").writeBytes(given)
        (output as ByteBuffer).put(File("$path.out").readBytes())
    }

    private val inside = File("$path.inside").exists()
    private val lines = File("$path.states").takeIf { it.exists() }?.readLines()?.map { it.split(" ") }
    private val states = lines.orEmpty().drop(1).map { State(it) }
    private var calls = 0

    fun getInputTensorFromSignature(name: String, signature: String): Tensor {
        require(signature == "step")
        return states.find { it.name == name }?.tensor ?: tensors[0].also { require(name == lines!![0][0]) }
    }

    fun getOutputTensorFromSignature(name: String, signature: String): Tensor {
        require(signature == "step")
        return states.find { it.name == name }?.tensor ?: tensors[1].also { require(name == lines!![0][1]) }
    }

    fun runSignature(inputs: Map<String, Any>, outputs: Map<String, Any>, signature: String) {
        require(signature == "step" && inputs.isNotEmpty()) { "The real one takes no signature without inputs." }
        val (input, output) = lines!![0]
        val names = if (inside) emptyList() else states.map { it.name }
        require(inputs.keys == (names + input).toSet() && outputs.keys == (names + output).toSet())
        val before = names.map { name -> ByteArray((inputs[name] as ByteBuffer).remaining()).also { (inputs[name] as ByteBuffer).get(it) } }
        if (!inside) calls = (before[0][0] - states[0].first) and 0xff
        states.zip(before).forEach { (state, bytes) ->
            require(bytes.size == state.tensor.numBytes() && bytes.all { it == (state.first + calls).toByte() })
            (outputs[state.name] as ByteBuffer).put(ByteArray(bytes.size) { (state.first + calls + 1).toByte() })
        }
        val given = ByteArray((inputs[input] as ByteBuffer).remaining()).also { (inputs[input] as ByteBuffer).get(it) }
        require(given.size == tensors[0].numBytes()) { "The input has ${given.size} bytes." }
        if (calls == 0) File("$path.in").writeBytes(given) else File("$path.in").appendBytes(given)
        val size = tensors[1].numBytes()
        (outputs[output] as ByteBuffer).put(File("$path.out").readBytes(), calls * size, size)
        calls++
    }

    override fun close() = Unit

    companion object {
        var path = ""
    }
}
