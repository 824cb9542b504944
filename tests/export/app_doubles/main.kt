package PACKAGE

import java.io.File
import org.tensorflow.lite.Interpreter

fun main(args: Array<String>) {
    Interpreter.path = args[0]
    val file = File(args[0]).readBytes()
    val numbers = generateSequence(::readLine).flatMap { it.trim().split(" ") }.toList() // features tokens
    val model = Model(fileSTART, File(args[1]).readLines()) // text
    val model = Model(fileSTART) // features tokens
    val answer = model.answer(args[2]) // text
    val answer = model.answer(numbers.map { it.toFloat() }.chunked(Model.FEATURES) { it.toFloatArray() }.toList()) // features
    val answer = model.answer(numbers.map { it.toInt() }.toList()) // tokens
    if (numbers.size == Model.TIMESTEPS * Model.FEATURES) { // features_by_1 features_by_many
        val steps = numbers.map { it.toFloat() }.chunked(Model.FEATURES) { it.toFloatArray() }.toList() // features_by_1 features_by_many
        val stream = Stream(model).apply { step(steps[0]) } // features_by_1
        val stream = Stream(model).apply { step(steps.take(Model.STEPS)) } // features_by_many
        stream.reset() // features_by_1 features_by_many
        check(steps.map(stream::step).last() == answer) // features_by_1
        check(steps.chunked(Model.STEPS).map(stream::step).last() == answer) // features_by_many
    } // features_by_1 features_by_many
    val stream = Stream(model) // tokens_by_many
    if (numbers.size == Model.TIMESTEPS) check(numbers.map { it.toInt() }.chunked(Model.STEPS).flatMap(stream::step) == answer) // tokens_by_many
    val stream = Stream(model) // text_by_1
    val ids = model.tokens(args[2]) // text_by_1
    if (ids.size == Model.TIMESTEPS) check(ids.map(stream::step).last() == answer) // text_by_1
    answer.forEach(::println) // regression
    answer.forEach { println("${it.score} ${it.label}") } // sequence_labelling
    answer.scores.forEach { (label, score) -> println("$score $label") } // binary multiclass
    answer.scores.forEach { (label, score) -> println("${if (label in answer.labels) '+' else '-'} $score $label") } // multilabel
    println(answer.label) // binary multiclass
}
